//! `#[derive(Tree)]` for axisgrad.

mod expand;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct or an enum a tree: its fields are subtrees, visited in the order in which they are declared.
///
/// * Every type parameter `T` gets the bound `T: Tree`. The type must be `Clone`.
/// * `#[tree(skip)]` on a field says that it is plain data without tensors: it is cloned, whatever its type.
/// * The variant of an enum is part of the paths of its leaves: `shape.Circle.radius`.
///
/// There is an example at the trait, `axisgrad::Tree`.
///
/// # Errors
/// Does not compile for a union, for an attribute other than `#[tree(skip)]`, and where a field that is not skipped
/// is not a tree.
#[proc_macro_derive(Tree, attributes(tree))]
pub fn derive_tree(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::tree(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
