//! What one file mentions of the others.

use super::tree::{self, File, ModulePath, Tree};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Where a file names something of another one.
#[derive(Clone)]
pub struct Mention {
    pub line: usize,
    pub path: String,
}

/// The files of the crate that `file` mentions, in the order of the mentions.
pub fn mentions(tree: &Tree, file: &File) -> Vec<(usize, Mention)> {
    let mut visitor = Visitor { tree, module: file.module.clone(), found: Vec::new() };
    visitor.visit_file(&file.syntax);
    visitor.found
}

struct Visitor<'t> {
    tree: &'t Tree,
    /// The module of the code that is visited.
    module: ModulePath,
    found: Vec<(usize, Mention)>,
}

impl Visitor<'_> {
    fn add(&mut self, path: &[String], line: usize) {
        if let Some(file) = self.tree.file_of(&self.module, path) {
            self.found.push((file, Mention { line, path: path.join("::") }));
        }
    }

    /// Paths in the arguments of a macro, which may be no Rust syntax.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut line, mut colons) = (Vec::new(), 0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.add_path(&mut path, line);
                        line = name.span().start().line;
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.add_path(&mut path, line);
                    self.add_tokens(group.stream());
                }
                TokenTree::Literal(_) | TokenTree::Punct(_) => self.add_path(&mut path, line),
            }
        }
        self.add_path(&mut path, line);
    }

    fn add_path(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.add(&path, line);
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !tree::is_for_tests(tree::attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !tree::is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for import in tree::imports(&item.tree) {
            self.add(&import.path, item.use_token.span.start().line);
        }
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.add_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first()
            && path.leading_colon.is_none()
            && path.segments.len() > 1
        {
            let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.add(&names, first.ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    /// `pub(in path)` limits who may use an item, and uses nothing itself.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}
