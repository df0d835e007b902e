//! Composes a component and its dependencies into one component, as Spin does.
//!
//! Each dependency is instantiated once and plugged one level deep. The other imports of a
//! dependency are served with the root's configuration, so a dependency that imports a capability
//! that it does not inherit is refused here, before anything runs.

use crate::components::Components;
use crate::continuity;
use crate::empty;
use crate::error::HostError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use vouchsafe_manifest::{Capability, Component, Dependency, Manifest};
use wac_graph::types::{ItemKind, Package, SubtypeChecker, Type};
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};

/// Largest component file.
const COMPONENT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// One component that contains all others.
pub struct Composite {
    pub bytes: Vec<u8>,
    /// Names of its imports, which the host provides.
    pub imports: BTreeSet<String>,
    /// Label of the database of the host's own store, if that replaces a component.
    pub host_store: Option<String>,
}

/// What an import gives a component access to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Harmless parts of WASI: clocks, random numbers, standard streams.
    Ambient,
    Granted(Capability),
    /// Replaced by an empty implementation where it is not inherited.
    Emptiable(Capability),
    /// Signature arithmetic in the host, which gives access to nothing.
    HostCrypto,
    /// Not provided by this host.
    Unknown,
}

/// Reads the components of `manifest` and composes them.
pub fn compose(manifest: &Manifest, components: &Components) -> Result<Composite, HostError> {
    let root = manifest.root().map_err(|error| HostError::configuration(error.to_string()))?;
    let mut composer = Composer { graph: CompositionGraph::new(), adapters: BTreeMap::new(), host_store: None };
    composer.run(manifest, root, components)
}

struct Composer {
    graph: CompositionGraph,
    /// Instances of the empty implementations, by the import that they satisfy.
    adapters: BTreeMap<String, NodeId>,
    host_store: Option<String>,
}

impl Composer {
    fn run(&mut self, manifest: &Manifest, root: &Component, components: &Components) -> Result<Composite, HostError> {
        let root_id = manifest.root_id();
        let root_package = self.register(root_id, &components.path(root))?;
        let root_node = self.graph.instantiate(root_package);
        let root_imports = self.imports(root_package);
        let mut open: BTreeSet<String> = root_imports.iter().cloned().collect();
        for dependency in &root.dependencies {
            let component =
                manifest.component(&dependency.component).map_err(|e| HostError::configuration(e.to_string()))?;
            if let Some(label) = components.host_store(component) {
                check_host_store(root, dependency, label)?;
                let provided = matching(&dependency.name, &root_imports)?;
                open.retain(|import| !provided.contains(import));
                self.host_store = Some(label.to_owned());
                continue;
            }
            let package = self.register(&dependency.component, &components.path(component))?;
            let node = self.graph.instantiate(package);
            self.check_dependency(dependency, package, node)?;
            for import in matching(&dependency.name, &root_imports)? {
                if !open.remove(&import) {
                    return Err(HostError::configuration(format!(
                        "more than one dependency of `{root_id}` satisfies `{import}`"
                    )));
                }
                self.plug(&dependency.component, package, node, root_node, root_package, &import)?;
            }
        }
        self.check_root(root_id, root, root_node, root_package, &open)?;
        self.export_all(root_id, root_package, root_node)?;
        self.encode()
    }

    fn register(&mut self, id: &str, path: &Path) -> Result<PackageId, HostError> {
        let bytes = read_component(path)?;
        let package = Package::from_bytes(&format!("component:{id}"), None, bytes, self.graph.types_mut())
            .map_err(|error| HostError::configuration(format!("{}: {error:#}", path.display())))?;
        self.graph
            .register_package(package)
            .map_err(|error| HostError::configuration(format!("component `{id}`: {error}")))
    }

    fn imports(&self, package: PackageId) -> Vec<String> {
        self.graph.types()[self.graph[package].ty()].imports.keys().cloned().collect()
    }

    /// Whether `import` is an interface that only defines types. It needs no implementation and gives access to
    /// nothing. Resources don't count as types: their handles come from an implementation.
    fn is_types_only(&self, package: PackageId, import: &str) -> bool {
        let types = self.graph.types();
        let import = types[self.graph[package].ty()].imports.get(import);
        let Some(ItemKind::Instance(interface)) = import else {
            return false;
        };
        let exports = &types[*interface].exports;
        let is_value_type = |export| matches!(export, &ItemKind::Type(Type::Value(_)));
        !exports.is_empty() && exports.values().all(is_value_type)
    }

    /// ORDER: before the dependency is plugged in, so that no composite with a forbidden import ever exists.
    fn check_dependency(&mut self, dependency: &Dependency, package: PackageId, node: NodeId) -> Result<(), HostError> {
        for import in self.imports(package) {
            if self.is_types_only(package, &import) {
                continue;
            }
            match need_of(&import) {
                Need::Ambient | Need::HostCrypto => {}
                Need::Granted(capability) | Need::Emptiable(capability) if dependency.inherit.contains(&capability) => {
                }
                Need::Emptiable(_) => self.plug_empty(&dependency.component, package, node, &import)?,
                Need::Granted(capability) => {
                    return Err(HostError::configuration(format!(
                        "dependency `{}` imports `{import}` but does not inherit `{}`",
                        dependency.component,
                        capability.name()
                    ))
                    .hint("add it to `inherit_configuration`, or find out why the component needs it"));
                }
                Need::Unknown => {
                    return Err(unknown_import(&dependency.component, &import));
                }
            }
        }
        Ok(())
    }

    fn check_root(
        &mut self,
        id: &str,
        root: &Component,
        node: NodeId,
        package: PackageId,
        open: &BTreeSet<String>,
    ) -> Result<(), HostError> {
        // If a dependency inherits the files, the root does not see them. Spin would show them to both.
        let inherited_by_dependency = root.dependencies.iter().any(|d| d.inherit.contains(&Capability::Files));
        for import in open {
            if self.is_types_only(package, import) {
                continue;
            }
            match need_of(import) {
                Need::Emptiable(Capability::Files) if inherited_by_dependency => {
                    self.plug_empty(id, package, node, import)?
                }
                Need::Unknown => return Err(unknown_import(id, import)),
                Need::Ambient | Need::HostCrypto | Need::Granted(_) | Need::Emptiable(_) => {}
            }
        }
        Ok(())
    }

    fn plug(
        &mut self,
        id: &str,
        from: PackageId,
        from_node: NodeId,
        to_node: NodeId,
        to: PackageId,
        import: &str,
    ) -> Result<(), HostError> {
        let types = self.graph.types();
        let export = types[self.graph[from].ty()].exports.get(import).copied();
        let export =
            export.ok_or_else(|| HostError::configuration(format!("component `{id}` does not export `{import}`")))?;
        let wanted = types[self.graph[to].ty()].imports.get(import).copied();
        let wanted = wanted.ok_or_else(|| HostError::configuration(format!("nothing imports `{import}`")))?;
        let mut cache = Default::default();
        SubtypeChecker::new(&mut cache).is_subtype(export, types, wanted, types).map_err(|error| {
            HostError::configuration(format!("component `{id}` exports `{import}` with another type: {error:#}"))
        })?;
        let failed =
            |error: &dyn std::error::Error| HostError::configuration(format!("cannot plug in `{import}`: {error}"));
        let alias = self.graph.alias_instance_export(from_node, import).map_err(|error| failed(&error))?;
        self.graph.set_instantiation_argument(to_node, import, alias).map_err(|error| failed(&error))
    }

    fn plug_empty(&mut self, id: &str, package: PackageId, node: NodeId, import: &str) -> Result<(), HostError> {
        let text = empty::adapter(import).ok_or_else(|| unknown_import(id, import))?;
        let adapter = match self.adapters.get(import) {
            Some(adapter) => *adapter,
            None => {
                let bytes =
                    wat::parse_str(&text).map_err(|error| HostError::configuration(format!("`{import}`: {error}")))?;
                let name = format!("empty:a{}", self.adapters.len());
                let empty = Package::from_bytes(&name, None, bytes, self.graph.types_mut())
                    .map_err(|error| HostError::configuration(format!("`{import}`: {error:#}")))?;
                let empty = self.graph.register_package(empty).map_err(|e| HostError::configuration(e.to_string()))?;
                let adapter = self.graph.instantiate(empty);
                self.adapters.insert(import.to_owned(), adapter);
                adapter
            }
        };
        let from = self.graph[adapter].package().ok_or_else(|| unknown_import(id, import))?;
        self.plug(id, from, adapter, node, package, import)
    }

    fn export_all(&mut self, id: &str, package: PackageId, node: NodeId) -> Result<(), HostError> {
        let names: Vec<String> = self.graph.types()[self.graph[package].ty()].exports.keys().cloned().collect();
        for name in names {
            let failed = |error: &dyn std::error::Error| {
                HostError::configuration(format!("cannot export `{name}` of `{id}`: {error}"))
            };
            let alias = self.graph.alias_instance_export(node, &name).map_err(|error| failed(&error))?;
            self.graph.export(alias, &name).map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    fn encode(&self) -> Result<Composite, HostError> {
        let imports = self.graph.imports().map(|(name, ..)| name.to_owned()).collect();
        // Wasmtime validates what it compiles; validating here as well would double the start-up time.
        let options = EncodeOptions { validate: false, ..Default::default() };
        let bytes = self.graph.encode(options).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|source| format!(": {source:#}")).unwrap_or_default();
            HostError::configuration(format!("cannot compose the components: {error}{cause}"))
        })?;
        Ok(Composite { bytes, imports, host_store: self.host_store.clone() })
    }
}

/// The host's store gets what the component that it replaces would get, and nothing else can be replaced.
fn check_host_store(root: &Component, dependency: &Dependency, label: &str) -> Result<(), HostError> {
    let name = &dependency.component;
    if !continuity::is_store(dependency) {
        return Err(HostError::configuration(format!(
            "component `{name}` has `host-store`, but is not `vouchsafe:store`"
        )));
    }
    if !dependency.inherit.contains(&Capability::SqliteDatabases) || !root.sqlite_databases.iter().any(|it| it == label)
    {
        return Err(HostError::configuration(format!(
            "component `{name}` has `host-store = \"{label}\"`, but does not inherit a database with that label"
        )));
    }
    Ok(())
}

fn unknown_import(id: &str, import: &str) -> HostError {
    HostError::configuration(format!("component `{id}` imports `{import}`, which neither a dependency nor this host provides"))
        .hint("`vouchsafe serve` provides WASI without sockets, spin:variables, spin:sqlite and spin:postgres; everything else requires Spin")
}

fn read_component(path: &Path) -> Result<Vec<u8>, HostError> {
    let fail = |error: std::io::Error| {
        HostError::configuration(format!("{}: {error}", path.display()))
            .hint("set --components to the folder of the components, or, in a source checkout, build them with `scripts/build-components`")
    };
    let size = std::fs::metadata(path).map_err(fail)?.len();
    if size > COMPONENT_BYTES_MAX {
        return Err(HostError::configuration(format!(
            "{}: the file has {size} bytes, more than the maximum of {COMPONENT_BYTES_MAX}",
            path.display()
        )));
    }
    std::fs::read(path).map_err(fail)
}

/// What an import gives a component access to. Every name that is not listed is unknown, so that nothing is
/// granted by oversight.
pub fn need_of(import: &str) -> Need {
    let interface = import.split_once('@').map_or(import, |(interface, _)| interface);
    match interface {
        "spin:variables/variables" => Need::Granted(Capability::Variables),
        "spin:sqlite/sqlite" => Need::Granted(Capability::SqliteDatabases),
        "spin:postgres/postgres" | "wasi:http/client" => Need::Granted(Capability::AllowedOutboundHosts),
        "vouchsafe:crypto/signatures" => Need::HostCrypto,
        "wasi:filesystem/preopens" => Need::Emptiable(Capability::Files),
        "wasi:cli/environment" => Need::Emptiable(Capability::Environment),
        // Descriptors come from `preopens` only.
        "wasi:filesystem/types" | "wasi:http/types" => Need::Ambient,
        _ if ["wasi:cli/", "wasi:clocks/", "wasi:io/", "wasi:random/"].iter().any(|p| interface.starts_with(p)) => {
            Need::Ambient
        }
        _ => Need::Unknown,
    }
}

/// Imports that a dependency's name covers: a package covers all of its interfaces.
fn matching(name: &str, imports: &[String]) -> Result<Vec<String>, HostError> {
    let found: Vec<String> = imports.iter().filter(|import| covers(name, import)).cloned().collect();
    if found.is_empty() {
        return Err(HostError::configuration(format!("dependency `{name}` matches no import of the component")));
    }
    Ok(found)
}

fn covers(name: &str, import: &str) -> bool {
    if name == import {
        return true;
    }
    let split = |text: &'_ str| match text.split_once('@') {
        Some((path, version)) => (path.to_owned(), Some(version.to_owned())),
        None => (text.to_owned(), None),
    };
    let ((package, version), (interface, import_version)) = (split(name), split(import));
    version == import_version
        && package.contains(':')
        && interface.strip_prefix(package.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
