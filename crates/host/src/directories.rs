//! The host's own directories: their default locations, and the check that nobody else can write to them.

use crate::error::HostError;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Cache directory of root if `HOME` belongs to another user, as under `sudo`.
const CACHE_OF_ROOT: &str = "/var/cache/vouchsafe";
const ROOT: u32 = 0;
const GROUP_WRITE: u32 = 0o020;
const GROUP_READ: u32 = 0o040;
const OTHER_WRITE: u32 = 0o002;
const OTHER_READ: u32 = 0o004;
/// In such a directory, only the owner of an entry can rename or remove it.
const STICKY: u32 = 0o1000;

/// Directory of compiled code: in the user's cache directory, or in the state directory.
pub fn cache_directory(state: &Path) -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let owner = |path: &Path| path.metadata().map(|found| found.uid()).ok();
    let is_root = owner(Path::new("/proc/self")) == Some(ROOT);
    let trusted = |path: &Path| !is_root || owner(path) == Some(ROOT);
    choose_cache(absolute("XDG_CACHE_HOME"), absolute("HOME"), trusted, state)
}

/// Chooses the cache directory. Root trusts no other user's directory, because the cache contains native code.
fn choose_cache(
    cache: Option<PathBuf>,
    home: Option<PathBuf>,
    trusted: impl Fn(&Path) -> bool,
    state: &Path,
) -> PathBuf {
    let cache = match (&cache, &home) {
        (Some(cache), _) if trusted(cache) => cache.clone(),
        (None, Some(home)) if trusted(home) => home.join(".cache"),
        (None, None) => return state.join("cache"),
        _ => return PathBuf::from(CACHE_OF_ROOT),
    };
    cache.join("vouchsafe")
}

/// Creates `path` with mode 0700, or restricts an existing directory to its owner.
///
/// Refuses a directory that other users own, can write to, or can replace: they could choose the code that runs here.
pub fn private_directory(path: &Path) -> Result<(), HostError> {
    let fail = |error: io::Error| HostError::configuration(format!("{}: {error}", path.display()));
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(fail)?;
    let found = std::fs::metadata(path).map_err(fail)?;
    refuse_shared(path, &found)?;
    if found.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    Ok(())
}

/// Checks that [`private_directory`] would accept `path`, without changing it, and that this process can write there.
/// Returns the free bytes of its file system.
pub fn check(path: &Path) -> Result<u64, HostError> {
    let fail = |error: io::Error| HostError::configuration(format!("{}: {error}", path.display()));
    let absolute = std::path::absolute(path).map_err(fail)?;
    // What is missing will be created below the directory that exists.
    let existing = absolute.ancestors().find(|it| it.exists()).unwrap_or(Path::new("/"));
    if existing == absolute {
        refuse_shared(path, &std::fs::metadata(path).map_err(fail)?)?;
    }
    let access = rustix::fs::access(existing, rustix::fs::Access::WRITE_OK);
    access.map_err(|error| {
        let message = format!("{}: no file can be created: {}", existing.display(), io::Error::from(error));
        HostError::configuration(message).hint("let the user who runs `serve` own it")
    })?;
    let system = rustix::fs::statvfs(existing).map_err(|error| fail(error.into()))?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Refuses a directory that other users own, can write to, or can replace.
fn refuse_shared(path: &Path, found: &Metadata) -> Result<(), HostError> {
    let fail = |error: io::Error| HostError::configuration(format!("{}: {error}", path.display()));
    let identity = Identity::of_process(found);
    if found.uid() != identity.user || found.permissions().mode() & (GROUP_WRITE | OTHER_WRITE) != 0 {
        let message = format!("{} is owned or writable by other users", path.display());
        return Err(HostError::configuration(message).hint("remove it or choose another directory"));
    }
    if let Some(parent) = identity.unsafe_parent(path).map_err(fail)? {
        let message =
            format!("{} is in {}, which is owned or writable by other users", path.display(), parent.display());
        return Err(HostError::configuration(message).hint("choose another directory, or remove the write permission"));
    }
    Ok(())
}

/// The user and group of this process, and the owner of `/`.
pub struct Identity {
    user: u32,
    group: u32,
    /// In some user namespaces, `/` is not owned by root.
    root_owner: u32,
}

impl Identity {
    /// Reads `/proc/self`; without `/proc`, uses the owner of `created`, a directory that was just created.
    pub fn of_process(created: &Metadata) -> Self {
        let process = std::fs::metadata("/proc/self");
        let process = process.as_ref().unwrap_or(created);
        Self {
            user: process.uid(),
            group: process.gid(),
            root_owner: std::fs::metadata("/").map_or(ROOT, |root| root.uid()),
        }
    }

    /// The first directory above `path` in which other users could replace it.
    pub fn unsafe_parent(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let real = path.canonicalize()?;
        for parent in real.ancestors().skip(1) {
            if self.is_writable_for_others(&parent.metadata()?) {
                return Ok(Some(parent.to_path_buf()));
            }
        }
        Ok(None)
    }

    pub fn is_writable_for_others(&self, directory: &Metadata) -> bool {
        let is_sticky = directory.permissions().mode() & STICKY != 0;
        !self.trusts(directory.uid()) || (!is_sticky && self.may_others_write(directory))
    }

    /// Whether this owner is root or the user of this process.
    pub fn trusts(&self, owner: u32) -> bool {
        [ROOT, self.root_owner, self.user].contains(&owner)
    }

    /// Whether the mode lets users other than the owner write.
    pub fn may_others_write(&self, found: &Metadata) -> bool {
        let mode = found.permissions().mode();
        // Many systems give each user a private group, whose members may write by default.
        let is_own_group = [ROOT, self.group].contains(&found.gid());
        let by_group = mode & GROUP_WRITE != 0 && !is_own_group;
        by_group || mode & OTHER_WRITE != 0
    }

    /// Whether the mode lets users other than the owner read. A file of root may be readable by the group of this process,
    /// which has no other way to read it.
    pub fn may_others_read(&self, found: &Metadata) -> bool {
        let mode = found.permissions().mode();
        let is_given = found.uid() == ROOT && self.user != ROOT && found.gid() == self.group;
        (mode & GROUP_READ != 0 && !is_given) || mode & OTHER_READ != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(name: &str) -> PathBuf {
        let base = std::env::temp_dir().join(format!("private-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&base).expect("made");
        base.canonicalize().expect("there")
    }

    fn set(path: &Path, mode: u32) {
        std::fs::create_dir_all(path).expect("made");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn root_ignores_cache_of_another_user() {
        let [cache, home, state] = ["/xdg", "/home/a", "/state"].map(PathBuf::from);
        let (cache, home) = (|| Some(cache.clone()), || Some(home.clone()));
        let (all, none) = (|_: &Path| true, |_: &Path| false);
        let path = PathBuf::from;
        assert_eq!(choose_cache(cache(), home(), all, &state), path("/xdg/vouchsafe"));
        assert_eq!(choose_cache(None, home(), all, &state), path("/home/a/.cache/vouchsafe"));
        assert_eq!(choose_cache(None, None, all, &state), path("/state/cache"));
        assert_eq!(choose_cache(None, None, none, &state), path("/state/cache"));
        for (cache, home) in [(cache(), home()), (cache(), None), (None, home())] {
            assert_eq!(choose_cache(cache, home, none, &state), path(CACHE_OF_ROOT));
        }
    }

    #[test]
    fn restricts_own_directory_and_refuses_writable_one() {
        let base = base("own");
        for (mode, accepted) in [(0o700, true), (0o755, true), (0o750, true), (0o770, false), (0o707, false)] {
            let path = base.join(format!("{mode:o}"));
            set(&path, mode);
            assert_eq!(private_directory(&path).is_ok(), accepted, "{mode:o}");
            let after = std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
            assert_eq!(after, if accepted { 0o700 } else { mode }, "{mode:o}");
        }
        let new = base.join("new/one");
        private_directory(&new).expect("made");
        assert_eq!(std::fs::metadata(&new).expect("there").permissions().mode() & 0o777, 0o700);
        std::fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn check_changes_nothing_and_finds_space() {
        let base = base("check");
        let own = base.join("own");
        set(&own, 0o755);
        assert!(check(&own).is_ok_and(|bytes| bytes > 0));
        assert_eq!(std::fs::metadata(&own).expect("there").permissions().mode() & 0o777, 0o755);
        let new = own.join("new/one");
        assert!(check(&new).is_ok_and(|bytes| bytes > 0));
        assert!(!own.join("new").exists());
        set(&own, 0o777);
        let refused = check(&own).map_err(|failure| failure.message);
        assert_eq!(refused, Err(format!("{} is owned or writable by other users", own.display())));
        std::fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn refuses_directory_that_others_can_replace() {
        let base = base("parents");
        for (mode, accepted) in [(0o755, true), (0o1777, true), (0o757, false)] {
            let parent = base.join(format!("{mode:o}"));
            set(&parent, mode);
            let (path, link) = (parent.join("a/b"), base.join(format!("link-{mode:o}")));
            std::os::unix::fs::symlink(&path, &link).expect("a link");
            for path in [path, link] {
                let made = private_directory(&path).map_err(|failure| failure.message);
                let refused =
                    format!("{} is in {}, which is owned or writable by other users", path.display(), parent.display());
                let expected = if accepted { Ok(()) } else { Err(refused) };
                assert_eq!(made, expected, "{mode:o}");
            }
        }
        std::fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn considers_owner_group_and_sticky_bit() {
        let base = base("owners");
        let user = base.metadata().expect("there").uid();
        let group = base.metadata().expect("there").gid();
        let is_writable = |identity: Identity, mode: u32| {
            set(&base, mode);
            identity.is_writable_for_others(&base.metadata().expect("there"))
        };
        let identity = |user, group| Identity { user, group, root_owner: ROOT };
        assert!(!is_writable(identity(user, group), 0o775), "the process's own group");
        // Only root can give the directory away.
        let away = |id: u32| std::os::unix::fs::chown(&base, Some(id), Some(id)).is_ok();
        if user == ROOT && away(1) {
            assert!(!is_writable(identity(1, 1), 0o775), "the process's own group");
            assert!(!is_writable(identity(1, 2), 0o755), "another group with read permission");
            assert!(is_writable(identity(1, 2), 0o775), "another group with write permission");
            assert!(!is_writable(identity(1, 2), 0o1775), "a sticky directory");
            assert!(is_writable(identity(2, 1), 0o755), "another owner");
            assert!(is_writable(identity(2, 1), 0o1755), "another owner, sticky");
        }
        std::fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn root_may_give_files_to_the_process() {
        let base = base("given");
        let found = base.metadata().expect("there");
        if found.uid() == ROOT && std::os::unix::fs::chown(&base, None, Some(1)).is_ok() {
            for (user, group, mode, expected) in [
                (1, 1, 0o440, false),
                (1, 2, 0o440, true),
                (1, 1, 0o444, true),
                (ROOT, 1, 0o440, true),
                (ROOT, 1, 0o400, false),
            ] {
                set(&base, mode);
                let identity = Identity { user, group, root_owner: ROOT };
                let is_readable = identity.may_others_read(&base.metadata().expect("there"));
                assert_eq!(is_readable, expected, "{user} {group} {mode:o}");
            }
        }
        std::fs::remove_dir_all(&base).expect("removed");
    }
}
