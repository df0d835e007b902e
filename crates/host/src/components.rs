//! Where the components' files are.

use std::path::{Path, PathBuf};
use vouchsafe_manifest::Component;

/// The components of a release, relative to the folder of its programs.
const INSTALLED: &str = "../share/vouchsafe/components";

/// Where signatures are verified and made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CryptoPlace {
    /// In the host, for each component that was also built that way.
    Host,
    /// In the components.
    Wasm,
}

/// Where the store's statements are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorePlace {
    /// In the host, if the manifest says that it can replace the component.
    Host,
    /// In the component.
    Wasm,
}

/// Finds the files of components.
pub struct Components {
    crypto: CryptoPlace,
    store: StorePlace,
    /// The manifest's folder, to which sources are relative.
    base: PathBuf,
    /// Replaces the folder of every source.
    chosen: Option<PathBuf>,
    /// Used for sources that don't exist.
    installed: Option<PathBuf>,
}

impl Components {
    pub fn new(base: &Path, chosen: Option<&Path>, crypto: CryptoPlace, store: StorePlace) -> Self {
        let program = std::env::current_exe().ok();
        let installed = program.as_deref().and_then(Path::parent).map(|folder| folder.join(INSTALLED));
        Self { crypto, store, base: base.to_owned(), chosen: chosen.map(Path::to_owned), installed }
    }

    /// The file of `component`, built for the chosen place of the arithmetic.
    pub fn path(&self, component: &Component) -> PathBuf {
        self.find(match (self.crypto, &component.host_crypto_source) {
            (CryptoPlace::Host, Some(source)) => source,
            (CryptoPlace::Host, None) | (CryptoPlace::Wasm, _) => &component.source,
        })
    }

    /// Label of the database on which the host replaces `component`, a store.
    pub fn host_store<'a>(&self, component: &'a Component) -> Option<&'a str> {
        match self.store {
            StorePlace::Host => component.host_store.as_deref(),
            StorePlace::Wasm => None,
        }
    }

    /// The file of a component with this source: as the manifest says, or the file of the same name in the folder that
    /// was chosen. A source that doesn't exist is taken from the release of this program, so that a manifest needs no
    /// path into that release.
    fn find(&self, source: &str) -> PathBuf {
        let path = self.base.join(source);
        let Some(name) = path.file_name() else {
            return path;
        };
        if let Some(chosen) = &self.chosen {
            return chosen.join(name);
        }
        let installed = self.installed.as_ref().map(|folder| folder.join(name));
        match installed {
            Some(installed) if !path.exists() && installed.is_file() => installed,
            _ => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_chosen_folder_then_manifest_then_release() {
        let root = std::env::temp_dir().join(format!("vouchsafe-components-{}", std::process::id()));
        let folder = |name: &str| {
            let folder = root.join(name);
            std::fs::create_dir_all(&folder).expect("a folder");
            folder
        };
        let (base, installed) = (folder("base"), folder("installed"));
        let components = |chosen: Option<&str>| Components {
            crypto: CryptoPlace::Host,
            store: StorePlace::Host,
            base: base.clone(),
            chosen: chosen.map(|name| root.join(name)),
            installed: Some(installed.clone()),
        };
        let path = |chosen| components(chosen).find("components/a.wasm");
        let own = base.join("components/a.wasm");
        assert_eq!(path(None), own, "for the error message");
        std::fs::write(installed.join("a.wasm"), "").expect("written");
        assert_eq!(path(None), installed.join("a.wasm"));
        std::fs::create_dir_all(base.join("components")).expect("a folder");
        std::fs::write(&own, "").expect("written");
        assert_eq!(path(None), own);
        assert_eq!(path(Some("chosen")), root.join("chosen/a.wasm"));
        let absolute = root.join("elsewhere/b.wasm");
        assert_eq!(components(None).find(absolute.to_str().expect("text")), absolute);
        std::fs::remove_dir_all(&root).expect("removed");
    }
}
