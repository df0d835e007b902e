//! The files and modules of one crate, and where names lead.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use syn::{Attribute, Item, UseTree};

/// The names of a module from the crate root, whose own path is empty.
pub type ModulePath = Vec<String>;

/// How many re-exports a name may lead through.
const HOPS_MAX: usize = 16;

/// One source file and the module that it is.
pub struct File {
    pub path: PathBuf,
    pub module: ModulePath,
    pub syntax: Rc<syn::File>,
}

/// The modules of a crate, without those for tests only.
#[derive(Default)]
pub struct Tree {
    pub files: Vec<File>,
    modules: BTreeMap<ModulePath, Module>,
}

#[derive(Default)]
struct Module {
    file: usize,
    /// Names of the items that are defined here.
    items: BTreeSet<String>,
    /// Imported and re-exported names, with the path of each.
    imports: BTreeMap<String, Vec<String>>,
    /// Paths of `use …::*`.
    globs: Vec<Vec<String>>,
}

/// Where a name leads.
enum Found {
    External,
    Item(ModulePath),
    Module(ModulePath),
}

impl Tree {
    /// Reads the crate whose root file is `entry_point`.
    pub fn read(entry_point: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let folder = entry_point.parent().unwrap_or(entry_point);
        tree.add_file(entry_point, Vec::new(), folder)?;
        Ok(tree)
    }

    /// The file that defines what `path` names inside `module`, unless that is outside the crate.
    pub fn file_of(&self, module: &[String], path: &[String]) -> Option<usize> {
        match self.resolve(module, path, HOPS_MAX)? {
            Found::Item(module) | Found::Module(module) => Some(self.modules.get(&module)?.file),
            Found::External => None,
        }
    }

    fn add_file(&mut self, path: &Path, module: ModulePath, children: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let syntax = syn::parse_file(&text).with_context(|| path.display().to_string())?;
        let syntax = Rc::new(syntax);
        let file = self.files.len();
        self.files.push(File { path: path.to_owned(), module: module.clone(), syntax: Rc::clone(&syntax) });
        self.add_module(&syntax.items, module, file, children)
    }

    fn add_module(&mut self, items: &[Item], path: ModulePath, file: usize, children: &Path) -> Result<()> {
        let mut module = Module { file, ..Module::default() };
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            match item {
                Item::Mod(declared) => {
                    let name = declared.ident.to_string();
                    let child = [path.as_slice(), std::slice::from_ref(&name)].concat();
                    if let Some((_, items)) = &declared.content {
                        self.add_module(items, child, file, &children.join(&name))?;
                    } else {
                        let (source, below) = locate(&declared.attrs, &name, children)?;
                        self.add_file(&source, child, &below)?;
                    }
                }
                Item::Use(item) => {
                    for import in imports(&item.tree) {
                        match import.name {
                            Some(name) => drop(module.imports.insert(name, import.path)),
                            None => module.globs.push(import.path),
                        }
                    }
                }
                _ => module.items.extend(name(item)),
            }
        }
        self.modules.insert(path, module);
        Ok(())
    }

    fn resolve(&self, module: &[String], path: &[String], hops: usize) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        let (mut at, rest) = match first.as_str() {
            "crate" => (Vec::new(), rest),
            "self" => (module.to_vec(), rest),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                (module[..module.len().checked_sub(ups)?].to_vec(), &path[ups..])
            }
            name => match self.look_up(module, name, hops)? {
                Found::Module(module) => (module, rest),
                end @ (Found::External | Found::Item(_)) => return Some(end),
            },
        };
        for name in rest.iter().filter(|name| *name != "self") {
            match self.look_up(&at, name, hops) {
                Some(Found::Module(module)) => at = module,
                Some(end @ (Found::External | Found::Item(_))) => return Some(end),
                // Defined by a macro.
                None => return Some(Found::Item(at)),
            }
        }
        Some(Found::Module(at))
    }

    fn look_up(&self, module: &[String], name: &str, hops: usize) -> Option<Found> {
        let hops = hops.checked_sub(1)?;
        let child = [module, &[name.to_owned()]].concat();
        if self.modules.contains_key(&child) {
            return Some(Found::Module(child));
        }
        let names = self.modules.get(module)?;
        if names.items.contains(name) {
            return Some(Found::Item(module.to_vec()));
        }
        if let Some(path) = names.imports.get(name) {
            // `use name::Item` of an external crate may share its name with an import.
            let is_external = path.first().is_some_and(|first| first == name);
            let found = (!is_external).then(|| self.resolve(module, path, hops));
            return Some(found.flatten().unwrap_or(Found::External));
        }
        names.globs.iter().find_map(|glob| match self.resolve(module, glob, hops)? {
            Found::Module(source) if source != module => self.look_up(&source, name, hops),
            Found::External | Found::Item(_) | Found::Module(_) => None,
        })
    }
}

/// A leaf of a `use`: what it brings into scope under which name, or everything (`*`).
pub struct Import {
    pub name: Option<String>,
    pub path: Vec<String>,
}

/// The leaves of a `use`.
pub fn imports(tree: &UseTree) -> Vec<Import> {
    let mut found = Vec::new();
    add_imports(tree, Vec::new(), &mut found);
    found
}

fn add_imports(tree: &UseTree, mut path: Vec<String>, found: &mut Vec<Import>) {
    match tree {
        UseTree::Path(part) => {
            path.push(part.ident.to_string());
            add_imports(&part.tree, path, found);
        }
        UseTree::Name(part) if part.ident == "self" => found.push(Import { name: path.last().cloned(), path }),
        UseTree::Name(part) => {
            path.push(part.ident.to_string());
            found.push(Import { name: path.last().cloned(), path });
        }
        UseTree::Rename(part) => {
            if part.ident != "self" {
                path.push(part.ident.to_string());
            }
            found.push(Import { name: Some(part.rename.to_string()), path });
        }
        UseTree::Glob(_) => found.push(Import { name: None, path }),
        UseTree::Group(group) => group.items.iter().for_each(|tree| add_imports(tree, path.clone(), found)),
    }
}

/// The source file of `mod name;`, and the folder of its own child modules.
fn locate(attributes: &[Attribute], name: &str, children: &Path) -> Result<(PathBuf, PathBuf)> {
    let named = attributes.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    if let Some(named) = named {
        let source = children.join(named);
        let below = source.parent().unwrap_or(children).to_owned();
        return Ok((source, below));
    }
    let below = children.join(name);
    let candidates = [children.join(format!("{name}.rs")), below.join("mod.rs")];
    let source = candidates.into_iter().find(|path| path.is_file());
    Ok((source.with_context(|| format!("no file for the module {}", below.display()))?, below))
}

/// Whether an item is compiled for unit tests only.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        meta => meta.path().is_ident("test"),
    })
}

/// The attributes of an item.
pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
