//! Values of variables: from flags, then `SPIN_VARIABLE_*`, then `.env`, then the manifest's defaults.
//!
//! Values may be secrets, so no message contains one.

use crate::directories::Identity;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use vouchsafe_manifest::{Manifest, ManifestError, environment_name};
use vouchsafe_policy::suggest;

/// Maximum size of a file in `NAME=@FILE`.
const VALUE_BYTES_MAX: u64 = 64 * 1024;
/// Start of the environment variables that set variables.
const PREFIX: &str = "SPIN_VARIABLE_";

/// Values from all sources but the manifest's defaults, and what is wrong with the sources.
#[derive(Default)]
pub struct Collected {
    pub values: BTreeMap<String, String>,
    pub faults: Vec<String>,
    /// Variables whose value can't be read.
    unreadable: BTreeSet<String>,
}

/// Collects values for the manifest's variables.
pub fn collect(manifest: &Manifest, flags: &[String], dotenv: &Path) -> Collected {
    let mut collected = Collected::default();
    let file = read_dotenv(dotenv).unwrap_or_else(|fault| {
        collected.faults.push(fault);
        BTreeMap::new()
    });
    for name in manifest.variables().keys() {
        let key = environment_name(name);
        let value = match std::env::var(&key) {
            Ok(value) => Some(value),
            Err(std::env::VarError::NotPresent) => file.get(&key).cloned(),
            Err(std::env::VarError::NotUnicode(_)) => {
                collected.refuse(name, format!("{key} is not valid UTF-8"));
                None
            }
        };
        if let Some(value) = value {
            collected.values.insert(name.clone(), value);
        }
    }
    for flag in flags {
        collected.add_flag(flag);
    }
    collected
}

impl Collected {
    fn refuse(&mut self, name: &str, fault: String) {
        self.unreadable.insert(name.to_owned());
        self.faults.push(fault);
    }

    fn add_flag(&mut self, flag: &str) {
        let Some((name, value)) = flag.split_once('=') else {
            // Not repeated: it may be a secret.
            self.faults.push("--variable requires NAME=VALUE or NAME=@FILE".to_owned());
            return;
        };
        let read =
            value.strip_prefix('@').map_or_else(|| Ok(value.to_owned()), |path| read_value(name, Path::new(path)));
        match read {
            Ok(value) => {
                self.values.insert(name.to_owned(), value);
            }
            Err(fault) => self.refuse(name, fault),
        }
    }

    /// What to say about an error of the manifest's variables; `None` if another message explains it.
    pub fn explain(&self, manifest: &Manifest, error: &ManifestError) -> Option<String> {
        let known = || manifest.variables().keys().map(String::as_str);
        match error {
            ManifestError::UnknownVariable { name } => Some(match suggest(name, known()) {
                Some(meant) => format!("{error}: did you mean `{meant}`?"),
                None => error.to_string(),
            }),
            ManifestError::VariableMissing { name } => {
                let misspelled = self.values.keys().any(|other| {
                    !manifest.variables().contains_key(other) && suggest(other, known()).as_ref() == Some(name)
                });
                (!misspelled && !self.unreadable.contains(name)).then(|| error.to_string())
            }
            _ => Some(error.to_string()),
        }
    }
}

/// Sets values of the manifest's `environment` as `flags` say; returns what is wrong with these.
pub fn override_environment(environment: &mut BTreeMap<String, String>, flags: &[String]) -> Vec<String> {
    let mut override_one = |flag: &String| {
        let (name, value) = flag.split_once('=').ok_or_else(|| "--env requires NAME=VALUE or NAME=@FILE".to_owned())?;
        let slot = environment.get_mut(name);
        let slot = slot.ok_or_else(|| format!("--env {name}: the manifest's environment has no `{name}`"))?;
        *slot =
            value.strip_prefix('@').map_or_else(|| Ok(value.to_owned()), |path| read_value(name, Path::new(path)))?;
        Ok(())
    };
    flags.iter().filter_map(|flag| override_one(flag).err()).collect()
}

/// Warnings about names in the environment and in `.env` that look like misspelled variables. Other unknown names may
/// belong to another application.
pub fn misspelled(manifest: &Manifest, dotenv: &Path) -> Vec<String> {
    let in_dotenv = read_dotenv(dotenv).unwrap_or_default();
    let in_environment = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let names: BTreeSet<String> = in_environment.chain(in_dotenv.into_keys()).collect();
    let warning = |name: &String| {
        let variable = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
        let known = manifest.variables();
        if known.contains_key(&variable) {
            return None;
        }
        let meant = environment_name(&suggest(&variable, known.keys().map(String::as_str))?);
        Some(format!("warning: {name} sets no variable of the manifest\nhint: did you mean {meant}?"))
    };
    names.iter().filter_map(warning).collect()
}

/// Warnings about files that hold a secret variable and are readable by other users, one text per file.
pub fn warnings(manifest: &Manifest, flags: &[String], dotenv: &Path) -> Vec<String> {
    let is_secret = |name: &str| {
        let variable = manifest.variables().get(name);
        variable.is_some_and(|variable| variable.secret)
    };
    let of_flag = |flag: &'_ String| {
        let (name, path) = flag.split_once("=@")?;
        (!name.contains('=') && is_secret(name)).then(|| (name.to_owned(), Path::new(path).to_owned()))
    };
    let in_dotenv = read_dotenv(dotenv).unwrap_or_default();
    let secrets = manifest.variables().keys().filter(|name| is_secret(name));
    let of_dotenv = secrets
        .filter(|name| in_dotenv.contains_key(&environment_name(name)))
        .map(|name| (name.clone(), dotenv.to_owned()));
    let files = flags.iter().filter_map(of_flag).chain(of_dotenv);
    let warning = |(name, path): (String, PathBuf)| readable_warning(&path, &format!("the secret variable `{name}`"));
    files.filter_map(warning).collect()
}

/// A warning if users other than the owner can read the file, which holds `what`.
#[must_use]
pub fn readable_warning(path: &Path, what: &str) -> Option<String> {
    let found = path.metadata().ok()?;
    let mode = found.permissions().mode() & 0o7777;
    let shown = path.display();
    Identity::of_process(&found).may_others_read(&found).then(|| {
        format!(
            "warning: {shown} holds {what} and is readable by other users (mode {mode:04o})\n\
             hint: chmod 600 {shown}"
        )
    })
}

fn read_value(name: &str, path: &Path) -> Result<String, String> {
    let fail = |why: String| format!("variable `{name}` from {}: {why}", path.display());
    let size = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if size > VALUE_BYTES_MAX {
        return Err(fail(format!("the file has {size} bytes, more than the maximum of {VALUE_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    // The line break that editors add at the end is not part of the value.
    Ok(text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t)).to_owned())
}

fn read_dotenv(path: &Path) -> Result<BTreeMap<String, String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse_dotenv(&text).map_err(|line| format!("{}:{line}: expected NAME=VALUE", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// `NAME=VALUE` lines, `#` comments, optional `export` and quotes around the value.
fn parse_dotenv(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut values = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(index.saturating_add(1))?;
        values.insert(name.trim().to_owned(), unquote(value.trim()).to_owned());
    }
    Ok(values)
}

fn unquote(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_dotenv_lines() {
        let text = "# local\n\nA=b=c\nexport B = 'x y'\nC=\"q\"\nD=\n";
        let values = parse_dotenv(text).expect("parses");
        let expected = [("A", "b=c"), ("B", "x y"), ("C", "q"), ("D", "")];
        assert_eq!(values, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!(parse_dotenv("A=1\nnonsense"), Err(2));
    }

    #[test]
    fn does_not_repeat_flag_without_equals_sign() {
        let mut collected = Collected::default();
        collected.add_flag("hunter2");
        assert_eq!(collected.faults, ["--variable requires NAME=VALUE or NAME=@FILE"]);
    }

    fn manifest() -> Manifest {
        let text = "spin_manifest_version = 2\n[application]\nname = \"t\"\n[variables]\n\
            signer_root = { required = true, secret = true }\nissuer = { required = true }\n\
            [[trigger.http]]\nroute = \"/...\"\ncomponent = \"c\"\n[component.c]\nsource = \"c.wasm\"\n";
        Manifest::parse(text).expect("a manifest")
    }

    #[test]
    fn explains_each_fault_once() {
        let manifest = manifest();
        for (flags, expected) in [
            (&[][..], vec!["required variable `issuer` has no value", "required variable `signer_root` has no value"]),
            (
                &["isuer=x"],
                vec![
                    "variable `isuer` is not in the manifest: did you mean `issuer`?",
                    "required variable `signer_root` has no value",
                ],
            ),
            (&["issuer=x", "other=y", "signer_root=z"], vec!["variable `other` is not in the manifest"]),
            (
                &["issuer=x", "signer_root=@/no/such/file"],
                vec!["variable `signer_root` from /no/such/file: No such file or directory (os error 2)"],
            ),
        ] {
            let mut collected = Collected::default();
            flags.iter().for_each(|flag| collected.add_flag(flag));
            let errors = manifest.resolve(&collected.values).map(|_| ()).expect_err("refused");
            let explained = errors.iter().filter_map(|error| collected.explain(&manifest, error));
            let found: Vec<_> = collected.faults.iter().cloned().chain(explained).collect();
            assert_eq!(found, expected, "{flags:?}");
        }
    }

    #[test]
    fn warns_about_misspelled_names_in_dotenv() {
        let dotenv = std::env::temp_dir().join(format!("misspelled-{}", std::process::id()));
        let text = "SPIN_VARIABLE_ISSUER=a\nSPIN_VARIABLE_SGNER_ROOT=b\nSPIN_VARIABLE_DATABASE_URL=c\nISUER=d\n";
        std::fs::write(&dotenv, text).expect("written");
        let expected = "warning: SPIN_VARIABLE_SGNER_ROOT sets no variable of the manifest\n\
                        hint: did you mean SPIN_VARIABLE_SIGNER_ROOT?";
        assert_eq!(misspelled(&manifest(), &dotenv), [expected]);
        std::fs::remove_file(dotenv).expect("removed");
    }

    #[test]
    fn warns_about_readable_secrets() {
        let text = "spin_manifest_version = 2\n[application]\nname = \"t\"\n[variables]\n\
            root = { default = \"\", secret = true }\nopen = { default = \"\" }\n\
            [[trigger.http]]\nroute = \"/...\"\ncomponent = \"c\"\n[component.c]\nsource = \"c.wasm\"\n";
        let manifest = Manifest::parse(text).expect("a manifest");
        let folder = std::env::temp_dir().join(format!("variables-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (value, dotenv) = (folder.join("value"), folder.join(".env"));
        let write = |path: &Path, text: &str, mode: u32| {
            std::fs::write(path, text).expect("written");
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("set");
        };
        let warning = |path: &Path, mode: &str| {
            format!(
                "warning: {0} holds the secret variable `root` and is readable by other users (mode {mode})\n\
                 hint: chmod 600 {0}",
                path.display()
            )
        };
        let secret = [format!("root=@{}", value.display())];
        let open = [format!("open=@{}", value.display()), "root=@".to_owned()];
        for (mode, expected) in [(0o600, None), (0o700, None), (0o640, Some("0640")), (0o604, Some("0604"))] {
            write(&value, "x", mode);
            let expected: Vec<_> = expected.map(|mode| warning(&value, mode)).into_iter().collect();
            assert_eq!(warnings(&manifest, &secret, &dotenv), expected, "{mode:o}");
            assert_eq!(warnings(&manifest, &open, &dotenv), [""; 0], "{mode:o}");
        }
        write(&dotenv, "SPIN_VARIABLE_OPEN=x\n", 0o644);
        assert_eq!(warnings(&manifest, &[], &dotenv), [""; 0]);
        write(&dotenv, "SPIN_VARIABLE_ROOT=x\n", 0o644);
        assert_eq!(warnings(&manifest, &[], &dotenv), [warning(&dotenv, "0644")]);
        write(&dotenv, "SPIN_VARIABLE_ROOT=x\n", 0o600);
        assert_eq!(warnings(&manifest, &[], &dotenv), [""; 0]);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
