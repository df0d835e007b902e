//! Files that decide what the broker permits, and that other users can change.
//!
//! Whoever can change the bundle, the manifest or a component can have any token, so `serve` refuses such files, as sshd
//! refuses keys that others can write. An owner other than root and the user of `serve` may be intended, for example a
//! user who deploys bundles, and is only warned about.

use crate::application::{Application, DOTENV};
use crate::bundle::POLICIES;
use crate::components::Components;
use crate::directories::Identity;
use crate::error::HostError;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use vouchsafe_policy::folder;

/// A file or folder that another user can change.
#[derive(Debug, PartialEq, Eq)]
pub struct Exposed {
    pub message: String,
    /// What to do about it.
    pub fix: String,
    /// Whether `serve` refuses it.
    pub is_refused: bool,
}

impl Application {
    /// What other users can change of the manifest, the runtime config, the files of variables, the components and the
    /// bundle; at most one finding for each.
    #[must_use]
    pub fn exposed(&self) -> Vec<Exposed> {
        let mut files = vec![self.options.manifest.clone(), PathBuf::from(DOTENV)];
        files.extend(self.options.runtime_config.clone());
        files.extend(self.runtime.client_tls.iter().filter_map(|tls| tls.ca_roots_file.clone()));
        let flags = self.options.variables.iter().chain(&self.options.environment);
        files.extend(flags.filter_map(|flag| Some(flag.split_once("=@")?.1.into())));
        files.extend(self.component_files());
        let mut found: Vec<Exposed> = files.iter().filter_map(|path| Exposed::of(path)).collect();
        // A folder that is not a bundle is refused anyway, and may have any number of files.
        let bundle = self.mounted(POLICIES).filter(|bundle| folder::read(bundle).is_ok());
        found.extend(bundle.and_then(|bundle| of_folder(&bundle)));
        found.dedup();
        // Nothing outside this machine trusts a development broker, and containers often have a umask of 0.
        if self.is_development() {
            found.iter_mut().for_each(|it| it.is_refused = false);
        }
        found
    }

    /// Fails if other users can write to one of those files.
    pub(crate) fn refuse_exposed(&self) -> Result<(), HostError> {
        let refused: Vec<Exposed> = self.exposed().into_iter().filter(|it| it.is_refused).collect();
        let joined = |part: fn(&Exposed) -> &str, by| refused.iter().map(part).collect::<Vec<_>>().join(by);
        match refused.is_empty() {
            true => Ok(()),
            false => {
                Err(HostError::configuration(joined(|it| &it.message, "\nerror: ")).hint(joined(|it| &it.fix, "; ")))
            }
        }
    }

    fn component_files(&self) -> Vec<PathBuf> {
        let (options, manifest) = (&self.options, &self.manifest);
        let files = Components::new(self.base(), options.components.as_deref(), options.crypto, options.store);
        let Ok(root) = manifest.root() else {
            return Vec::new();
        };
        let dependencies = root.dependencies.iter().filter_map(|it| manifest.component(&it.component).ok());
        std::iter::once(root).chain(dependencies).map(|component| files.path(component)).collect()
    }
}

impl Exposed {
    /// How other users can change a file, or a folder apart from its content. `None` if they can't, or if it does not exist.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let found = path.metadata().ok()?;
        let identity = Identity::of_process(&found);
        of_entry(&identity, path, &found).or_else(|| of_parents(&identity, path))
    }

    /// Like [`Self::of`], also for a folder that does not exist yet: whether others could replace it once it does.
    #[must_use]
    pub fn of_new(path: &Path) -> Option<Self> {
        if path.exists() {
            return Self::of(path);
        }
        let absolute = std::path::absolute(path).ok()?;
        let existing = absolute.ancestors().find(|folder| folder.exists())?;
        let found = existing.metadata().ok()?;
        let identity = Identity::of_process(&found);
        match identity.is_writable_for_others(&found) {
            true => of_entry(&identity, existing, &found),
            false => of_parents(&identity, existing),
        }
    }
}

/// How other users can change a folder or anything in it.
fn of_folder(path: &Path) -> Option<Exposed> {
    Exposed::of(path).or_else(|| {
        let identity = Identity::of_process(&path.metadata().ok()?);
        of_content(&identity, path).unwrap_or_default()
    })
}

/// The first file below `folder` that another user can change. A bundle has no links.
fn of_content(identity: &Identity, folder: &Path) -> io::Result<Option<Exposed>> {
    let mut entries: Vec<_> = folder.read_dir()?.collect::<io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, found) = (entry.path(), entry.metadata()?);
        let mut exposed = of_entry(identity, &path, &found);
        if exposed.is_none() && found.is_dir() {
            exposed = of_content(identity, &path)?;
        }
        if exposed.is_some() {
            return Ok(exposed);
        }
    }
    Ok(None)
}

/// Ignores the sticky bit, which protects existing files only: whoever can add a file to a bundle can add a policy.
fn of_entry(identity: &Identity, path: &Path, found: &Metadata) -> Option<Exposed> {
    let shown = path.display();
    let mode = found.permissions().mode() & 0o7777;
    if identity.may_others_write(found) {
        return Some(Exposed {
            message: format!("`{shown}` can be changed by other users (mode {mode:04o})"),
            fix: format!("chmod {}go-w {shown}", if found.is_dir() { "-R " } else { "" }),
            is_refused: true,
        });
    }
    let owner = found.uid();
    (!identity.trusts(owner)).then(|| Exposed {
        message: format!("`{shown}` is owned by user {owner}, who can change it"),
        fix: "unless this is intended, let root or the user who runs `serve` own it".to_owned(),
        is_refused: false,
    })
}

fn of_parents(identity: &Identity, path: &Path) -> Option<Exposed> {
    let parent = identity.unsafe_parent(path).ok()??;
    let found = parent.metadata().ok()?;
    let (shown, parent, owner) = (path.display(), parent.display(), found.uid());
    Some(match identity.may_others_write(&found) {
        true => Exposed {
            message: format!("`{shown}` is in `{parent}`, which other users can change"),
            fix: format!("chmod go-w {parent}"),
            is_refused: true,
        },
        false => Exposed {
            message: format!("`{shown}` is in `{parent}`, which is owned by user {owner}"),
            fix: "unless this is intended, choose a folder of root or of the user who runs `serve`".to_owned(),
            is_refused: false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let place = std::env::temp_dir().join(format!("exposed-{name}-{}", std::process::id()));
            fs::create_dir_all(place.join("policies/rules")).expect("folders");
            fs::write(place.join("policies/rules/a.cedar"), "").expect("a file");
            let place = Self(place.canonicalize().expect("a folder"));
            for path in ["", "policies", "policies/rules"] {
                place.set(path, 0o755);
            }
            place.set("policies/rules/a.cedar", 0o644);
            place
        }

        fn set(&self, path: &str, mode: u32) {
            fs::set_permissions(self.0.join(path), fs::Permissions::from_mode(mode)).expect("a mode");
        }

        /// Message and fix with paths relative to this place.
        fn of_bundle(&self) -> Option<(String, String, bool)> {
            let place = format!("{}/", self.0.display());
            let short = |text: String| text.replace(&place, "").replace(place.trim_end_matches('/'), ".");
            of_folder(&self.0.join("policies")).map(|it| (short(it.message), short(it.fix), it.is_refused))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn finds_what_others_can_write() {
        let place = Place::new("modes");
        assert_eq!(place.of_bundle(), None);
        for (path, own, mode, message, fix) in [
            (
                "policies/rules/a.cedar",
                0o644,
                0o646,
                "`policies/rules/a.cedar` can be changed by other users (mode 0646)",
                "chmod go-w policies/rules/a.cedar",
            ),
            (
                "policies/rules",
                0o755,
                0o757,
                "`policies/rules` can be changed by other users (mode 0757)",
                "chmod -R go-w policies/rules",
            ),
            // Others can add a policy to a sticky folder.
            (
                "policies",
                0o755,
                0o1777,
                "`policies` can be changed by other users (mode 1777)",
                "chmod -R go-w policies",
            ),
            ("", 0o755, 0o777, "`policies` is in `.`, which other users can change", "chmod go-w ."),
        ] {
            place.set(path, mode);
            assert_eq!(place.of_bundle(), Some((message.to_owned(), fix.to_owned(), true)));
            place.set(path, own);
            assert_eq!(place.of_bundle(), None, "{path}");
        }
        place.set("", 0o1777);
        assert_eq!(place.of_bundle(), None, "the sticky bit of its parent protects a folder");
    }

    #[test]
    fn own_group_may_write_and_others_only_warn() {
        let place = Place::new("owners");
        let file = place.0.join("policies/rules/a.cedar");
        place.set("policies/rules/a.cedar", 0o664);
        assert_eq!(place.of_bundle(), None, "the group of this process");
        // Only root can give the file away.
        if std::os::unix::fs::chown(&file, None, Some(12_345)).is_ok() {
            let message = "`policies/rules/a.cedar` can be changed by other users (mode 0664)".to_owned();
            let fix = "chmod go-w policies/rules/a.cedar".to_owned();
            assert_eq!(place.of_bundle(), Some((message, fix, true)));
            std::os::unix::fs::chown(&file, Some(12_345), Some(12_345)).expect("given away");
            place.set("policies/rules/a.cedar", 0o644);
            let message = "`policies/rules/a.cedar` is owned by user 12345, who can change it".to_owned();
            let fix = "unless this is intended, let root or the user who runs `serve` own it".to_owned();
            assert_eq!(place.of_bundle(), Some((message, fix, false)));
        }
    }

    #[test]
    fn missing_file_is_not_exposed() {
        assert_eq!(Exposed::of(Path::new("/no/such/file")), None);
    }

    #[test]
    fn new_folder_is_exposed_by_those_above() {
        let place = Place::new("new");
        let new = place.0.join("a/b");
        for (mode, exposed) in [(0o755, false), (0o1777, false), (0o757, true)] {
            place.set("", mode);
            let found = Exposed::of_new(&new).map(|it| (it.message, it.is_refused));
            let message = format!("`{}` can be changed by other users (mode 0757)", place.0.display());
            assert_eq!(found, exposed.then_some((message, true)), "{mode:o}");
        }
    }
}
