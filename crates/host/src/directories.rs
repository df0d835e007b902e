//! The host's own directories: where they are by default, and that nobody else can write to them.

use crate::error::HostError;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where root keeps compiled code if `HOME` belongs to another user, as under `sudo`.
const CACHE_OF_ROOT: &str = "/var/cache/vouchsafe";
const ROOT: u32 = 0;
const GROUP_WRITE: u32 = 0o020;
const OTHER_WRITE: u32 = 0o002;
/// In such a directory, only the owner of an entry can rename or remove it.
const STICKY: u32 = 0o1000;

/// Where compiled code is kept: the user's cache directory, else the state directory.
pub fn cache_directory(state: &Path) -> PathBuf {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let owner = |path: &Path| path.metadata().map(|found| found.uid()).ok();
    let is_root = owner(Path::new("/proc/self")) == Some(ROOT);
    let trusted = |path: &Path| !is_root || owner(path) == Some(ROOT);
    cache_among(absolute("XDG_CACHE_HOME"), absolute("HOME"), trusted, state)
}

/// Root trusts no directory of another user's: what lies in the cache runs as native code.
fn cache_among(
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

/// Makes `path` with mode 0700. One that is there and ours is closed to others; one that others
/// own or could write to is refused, because whoever filled it chooses the code that runs here. So is one that
/// others could put another in the place of.
pub fn private_directory(path: &Path) -> Result<(), HostError> {
    let fail = |error: io::Error| HostError::configuration(format!("{}: {error}", path.display()));
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(fail)?;
    let found = std::fs::metadata(path).map_err(fail)?;
    let us = Us::of_process(&found);
    let mode = found.permissions().mode();
    if found.uid() != us.user || mode & (GROUP_WRITE | OTHER_WRITE) != 0 {
        let message = format!(
            "{} belongs to other users or can be written by them",
            path.display()
        );
        return Err(
            HostError::configuration(message).hint("remove it, or choose another directory")
        );
    }
    if let Some(parent) = us.unsafe_parent(path).map_err(fail)? {
        let message = format!(
            "{} is in {}, which belongs to other users or can be written by them",
            path.display(),
            parent.display()
        );
        return Err(HostError::configuration(message)
            .hint("choose another directory, or take the write permission away"));
    }
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    Ok(())
}

/// As whom this process runs, and who is above it.
struct Us {
    user: u32,
    group: u32,
    /// The owner of `/`, which is another than root in some user namespaces.
    above: u32,
}

impl Us {
    /// Without `/proc`, the owner of what was just made.
    fn of_process(made: &Metadata) -> Self {
        let process = std::fs::metadata("/proc/self");
        let process = process.as_ref().unwrap_or(made);
        Self {
            user: process.uid(),
            group: process.gid(),
            above: std::fs::metadata("/").map_or(ROOT, |root| root.uid()),
        }
    }

    /// The first directory above `path` in which others could exchange it.
    fn unsafe_parent(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let real = path.canonicalize()?;
        for parent in real.ancestors().skip(1) {
            if self.is_open(&parent.metadata()?) {
                return Ok(Some(parent.to_path_buf()));
            }
        }
        Ok(None)
    }

    fn is_open(&self, directory: &Metadata) -> bool {
        let mode = directory.permissions().mode();
        let ours = [ROOT, self.above, self.user].contains(&directory.uid());
        // Many systems give each user a group of its own, whose members may write by default.
        let group_is_ours = [ROOT, self.group].contains(&directory.gid());
        let by_group = mode & GROUP_WRITE != 0 && !group_is_ours;
        let by_others = mode & OTHER_WRITE != 0;
        !ours || (mode & STICKY == 0 && (by_group || by_others))
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
    fn root_keeps_compiled_code_in_no_home_of_another_user() {
        let [cache, home, state] = ["/xdg", "/home/a", "/state"].map(PathBuf::from);
        let (cache, home) = (|| Some(cache.clone()), || Some(home.clone()));
        let (all, none) = (|_: &Path| true, |_: &Path| false);
        let path = PathBuf::from;
        assert_eq!(
            cache_among(cache(), home(), all, &state),
            path("/xdg/vouchsafe")
        );
        assert_eq!(
            cache_among(None, home(), all, &state),
            path("/home/a/.cache/vouchsafe")
        );
        assert_eq!(cache_among(None, None, all, &state), path("/state/cache"));
        assert_eq!(cache_among(None, None, none, &state), path("/state/cache"));
        for (cache, home) in [(cache(), home()), (cache(), None), (None, home())] {
            assert_eq!(cache_among(cache, home, none, &state), path(CACHE_OF_ROOT));
        }
    }

    #[test]
    fn a_directory_of_ours_is_closed_and_one_that_others_can_write_is_refused() {
        let base = base("own");
        for (mode, accepted) in [
            (0o700, true),
            (0o755, true),
            (0o750, true),
            (0o770, false),
            (0o707, false),
        ] {
            let path = base.join(format!("{mode:o}"));
            set(&path, mode);
            assert_eq!(private_directory(&path).is_ok(), accepted, "{mode:o}");
            let after = std::fs::metadata(&path)
                .expect("there")
                .permissions()
                .mode()
                & 0o777;
            assert_eq!(after, if accepted { 0o700 } else { mode }, "{mode:o}");
        }
        let new = base.join("new/one");
        private_directory(&new).expect("made");
        assert_eq!(
            std::fs::metadata(&new).expect("there").permissions().mode() & 0o777,
            0o700
        );
        std::fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn refuses_a_directory_that_others_can_replace() {
        let base = base("parents");
        for (mode, accepted) in [(0o755, true), (0o1777, true), (0o757, false)] {
            let parent = base.join(format!("{mode:o}"));
            set(&parent, mode);
            let (path, link) = (parent.join("a/b"), base.join(format!("link-{mode:o}")));
            std::os::unix::fs::symlink(&path, &link).expect("a link");
            for path in [path, link] {
                let made = private_directory(&path).map_err(|failure| failure.message);
                let refused = format!(
                    "{} is in {}, which belongs to other users or can be written by them",
                    path.display(),
                    parent.display()
                );
                let expected = if accepted { Ok(()) } else { Err(refused) };
                assert_eq!(made, expected, "{mode:o}");
            }
        }
        std::fs::remove_dir_all(&base).expect("removed");
    }

    #[test]
    fn tells_who_may_write_to_a_parent() {
        let base = base("owners");
        let user = base.metadata().expect("there").uid();
        let group = base.metadata().expect("there").gid();
        let is_open = |us: Us, mode: u32| {
            set(&base, mode);
            us.is_open(&base.metadata().expect("there"))
        };
        let us = |user, group| Us {
            user,
            group,
            above: ROOT,
        };
        assert!(!is_open(us(user, group), 0o775), "a group of our own");
        // Only root can give the directory away.
        let away = |id: u32| std::os::unix::fs::chown(&base, Some(id), Some(id)).is_ok();
        if user == ROOT && away(1) {
            assert!(!is_open(us(1, 1), 0o775), "a group of our own");
            assert!(!is_open(us(1, 2), 0o755), "another group, which reads");
            assert!(is_open(us(1, 2), 0o775), "another group, which writes");
            assert!(!is_open(us(1, 2), 0o1775), "a sticky directory");
            assert!(is_open(us(2, 1), 0o755), "another owner");
            assert!(is_open(us(2, 1), 0o1755), "another owner, sticky");
        }
        std::fs::remove_dir_all(&base).expect("removed");
    }
}
