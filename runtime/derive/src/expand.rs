//! From the syntax of a type to its `impl Tree`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Error, Field, Fields, GenericParam, Generics, Ident, Index, Result, parse_quote,
};

/// The whole impl. A struct is handled as an enum is: one match arm that binds every field.
pub fn tree(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let arms = arms(input)?;
    let (visits, maps) = (arms.iter().map(Arm::visit), arms.iter().map(Arm::map));
    let generics = with_bounds(input.generics.clone());
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        #[allow(clippy::all, unused_variables, unused_mut)]
        impl #impl_generics ::axisgrad::tree::Tree for #name #type_generics #where_clause {
            fn visit(
                &self,
                __path: &::axisgrad::tree::Path<'_>,
                __visit: &mut dyn ::core::ops::FnMut(&::axisgrad::tree::Path<'_>, &::axisgrad::Tensor),
            ) {
                match *self { #(#visits)* }
            }

            fn map(
                &self,
                __path: &::axisgrad::tree::Path<'_>,
                __map: &mut dyn ::core::ops::FnMut(
                    &::axisgrad::tree::Path<'_>,
                    &::axisgrad::Tensor,
                ) -> ::axisgrad::Tensor,
            ) -> Self {
                match *self { #(#maps)* }
            }
        }
    })
}

/// One struct, or one variant of an enum.
struct Arm<'a> {
    /// `Self` or `Self::Variant`.
    constructor: TokenStream,
    /// Its path: of an enum, below that of the variant.
    path: TokenStream,
    fields: Vec<Member<'a>>,
}

struct Member<'a> {
    field: &'a Field,
    /// As the constructor spells it: `weight`, `0`.
    name: TokenStream,
    binding: Ident,
    skip: bool,
}

fn arms(input: &DeriveInput) -> Result<Vec<Arm<'_>>> {
    match &input.data {
        Data::Struct(data) => {
            Ok(vec![Arm { constructor: quote!(Self), path: quote!(__path), fields: members(&data.fields)? }])
        }
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| {
                let (ident, name) = (&variant.ident, variant.ident.to_string());
                let path = quote!(&__path.field(#name));
                Ok(Arm { constructor: quote!(Self::#ident), path, fields: members(&variant.fields)? })
            })
            .collect(),
        Data::Union(data) => Err(Error::new(
            data.union_token.span,
            "a union cannot be a Tree: which of its fields holds tensors is not known; use an enum",
        )),
    }
}

fn members(fields: &Fields) -> Result<Vec<Member<'_>>> {
    fields.iter().enumerate().map(|(i, field)| member(i, field)).collect()
}

fn member(i: usize, field: &Field) -> Result<Member<'_>> {
    let name = field.ident.as_ref().map_or_else(
        || {
            let index = Index::from(i);
            quote!(#index)
        },
        |ident| quote!(#ident),
    );
    Ok(Member { field, name, binding: format_ident!("__field{i}"), skip: is_skipped(field)? })
}

fn is_skipped(field: &Field) -> Result<bool> {
    let mut skip = false;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("tree")) {
        attribute.parse_nested_meta(|meta| {
            skip = meta.path.is_ident("skip");
            if skip { Ok(()) } else { Err(meta.error("unknown attribute; the only one is `#[tree(skip)]`")) }
        })?;
    }
    Ok(skip)
}

impl Arm<'_> {
    fn pattern(&self) -> TokenStream {
        let constructor = &self.constructor;
        let fields = self.fields.iter().map(|Member { name, binding, .. }| quote!(#name: ref #binding));
        quote!(#constructor { #(#fields),* })
    }

    fn visit(&self) -> TokenStream {
        let pattern = self.pattern();
        let fields = self.fields.iter().filter(|member| !member.skip).map(|member| {
            let (binding, path) = (&member.binding, member.path(&self.path));
            quote_spanned!(member.field.ty.span()=> ::axisgrad::tree::Tree::visit(#binding, #path, __visit);)
        });
        quote!(#pattern => { #(#fields)* })
    }

    fn map(&self) -> TokenStream {
        let (pattern, constructor) = (self.pattern(), &self.constructor);
        let fields = self.fields.iter().map(|member| {
            let (name, value) = (&member.name, member.mapped(&self.path));
            quote!(#name: #value)
        });
        quote!(#pattern => #constructor { #(#fields),* },)
    }
}

impl Member<'_> {
    fn path(&self, parent: &TokenStream) -> TokenStream {
        let name = self.name.to_string();
        let name = name.trim_start_matches("r#");
        quote!(&(#parent).field(#name))
    }

    fn mapped(&self, parent: &TokenStream) -> TokenStream {
        let (binding, path) = (&self.binding, self.path(parent));
        match self.skip {
            true => quote_spanned!(self.field.ty.span()=> ::core::clone::Clone::clone(#binding)),
            false => {
                quote_spanned!(self.field.ty.span()=> ::axisgrad::tree::Tree::map(#binding, #path, __map))
            }
        }
    }
}

fn with_bounds(mut generics: Generics) -> Generics {
    for parameter in &mut generics.params {
        if let GenericParam::Type(parameter) = parameter {
            parameter.bounds.push(parse_quote!(::axisgrad::tree::Tree));
        }
    }
    generics
}
