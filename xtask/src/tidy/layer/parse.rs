//! Parses one Rust file into its modules: for each, what its imports stand for and every path it mentions.
//!
//! Code under `#[cfg(test)]` is left out: tests may build what they need from any part of the crate.

use std::collections::BTreeMap;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ItemFn, ItemImpl, ItemMod, ItemUse, Lit, Macro, Meta, Path, UseTree, VisRestricted};

/// The names of a path, from left to right; of a module, those from the crate's root to it.
pub(super) type Names = Vec<String>;

/// A path as it is written, and its line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) path: Names,
    pub(super) line: usize,
}

/// A module: a file, or a block inside one.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) file: String,
    /// The names that `use` brings into the module, each with the path it stands for.
    pub(super) imports: BTreeMap<String, Names>,
    pub(super) mentions: Vec<Mention>,
    /// The modules in files of their own that only tests have.
    pub(super) test_modules: Vec<String>,
}

/// Returns the module that a file holds, which is `own` in its crate, and those nested in it.
pub(super) fn modules(file: &str, own: Names, text: &str) -> syn::Result<BTreeMap<Names, Module>> {
    let parsed = syn::parse_file(text)?;
    let mut reader = Reader { own, current: Module::of(file), done: BTreeMap::new() };
    reader.visit_file(&parsed);
    let Reader { own, current, mut done } = reader;
    done.insert(own, current);
    Ok(done)
}

impl Module {
    fn of(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    fn mention(&mut self, path: Names, span: Span) {
        self.mentions.push(Mention { path, line: span.start().line });
    }

    /// Adds what one `use` brings in: each leaf of a group is an import of its own.
    fn import(&mut self, tree: &UseTree, mut path: Names) {
        let (name, span) = match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                return self.import(&inner.tree, path);
            }
            UseTree::Group(group) => return group.items.iter().for_each(|item| self.import(item, path.clone())),
            UseTree::Glob(glob) => return self.mention(path, glob.star_token.span),
            UseTree::Name(leaf) if leaf.ident == "self" => (path.last().cloned(), leaf.ident.span()),
            UseTree::Name(leaf) => {
                path.push(leaf.ident.to_string());
                (Some(leaf.ident.to_string()), leaf.ident.span())
            }
            UseTree::Rename(leaf) => {
                if leaf.ident != "self" {
                    path.push(leaf.ident.to_string());
                }
                (Some(leaf.rename.to_string()), leaf.ident.span())
            }
        };
        if let Some(name) = name {
            self.imports.insert(name, path.clone());
        }
        self.mention(path, span);
    }

    /// Adds the paths among tokens that no parser reads: a macro's arguments, an attribute's.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons, mut span) = (Names::new(), 0, Span::call_site());
        for token in tokens {
            match token {
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.mention(std::mem::take(&mut path), span);
                        span = ident.span();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                other @ (TokenTree::Group(_) | TokenTree::Literal(_) | TokenTree::Punct(_)) => {
                    self.mention(std::mem::take(&mut path), span);
                    self.token(other);
                    colons = 0;
                }
            }
        }
        self.mention(path, span);
    }

    fn token(&mut self, token: TokenTree) {
        match token {
            TokenTree::Group(group) => self.tokens(group.stream()),
            // Derive macros take paths as text: `#[serde(with = "crate::duration")]`.
            TokenTree::Literal(literal) => {
                let span = literal.span();
                let Lit::Str(text) = Lit::new(literal) else { return };
                if let Ok(path) = text.parse::<Path>() {
                    self.mention(names(&path), span);
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn names(path: &Path) -> Names {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// True for what only tests have.
fn is_test(attributes: &[Attribute]) -> bool {
    let mut conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    conditions.any(|condition| condition.parse_args::<Path>().is_ok_and(|path| path.is_ident("test")))
}

struct Reader {
    own: Names,
    current: Module,
    done: BTreeMap<Names, Module>,
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        // The content of `mod name;` is another file, which is read by itself.
        if item.content.is_none() {
            if is_test(&item.attrs) {
                self.current.test_modules.push(item.ident.to_string());
            }
            return;
        }
        if is_test(&item.attrs) {
            return;
        }
        let inner = Module::of(&self.current.file);
        let outer = std::mem::replace(&mut self.current, inner);
        self.own.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        let inner = std::mem::replace(&mut self.current, outer);
        self.done.insert(self.own.clone(), inner);
        self.own.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // `use ::name` is always another crate.
        if item.leading_colon.is_none() && !is_test(&item.attrs) {
            self.current.import(&item.tree, Names::new());
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if let (None, Some(first)) = (&path.leading_colon, path.segments.first()) {
            self.current.mention(names(path), first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.current.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.current.tokens(list.tokens.clone());
        }
    }

    /// `pub(in crate::api)` says who may look in, not what is used.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}
