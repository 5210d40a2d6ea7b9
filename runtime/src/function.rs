//! What `grad`, `vmap` and the other transforms take and are: functions of one to eight trees.

use crate::tensor::Tensor;
use crate::tree::{Path, Tree};

/// A function of the trees `Args` (a tuple). Closures `Fn(&A) -> R`, `Fn(&A, &B) -> R`, … up to eight arguments
/// are, and so are the transforms, so that they compose: `grad(grad(f))`, `vmap(grad(loss))`.
pub trait Function<Args> {
    /// What it returns.
    type Output;

    /// Calls it.
    #[track_caller]
    fn call(&self, args: &Args) -> Self::Output;
}

/// A tuple of one to eight trees: the arguments of a [`Function`].
pub trait ArgList: Tree {
    /// How many there are.
    const COUNT: usize;

    /// The arguments with every leaf replaced by what `map` makes of it, given its argument's number.
    fn map_args(&self, map: &mut dyn FnMut(usize, &Path<'_>, &Tensor) -> Tensor) -> Self;
}

/// Borrowed arguments as `.at` takes them: `&a`, `(&a, &b)`, ….
pub trait Arguments {
    /// The trees themselves, as a tuple.
    type Args: ArgList;

    /// Clones them: tensors are cheap to clone.
    fn to_args(self) -> Self::Args;
}

impl<A: Tree> Arguments for &A {
    type Args = (A,);
    fn to_args(self) -> (A,) {
        (self.clone(),)
    }
}

/// A position among the arguments, as a type, so that one that is out of range does not compile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arg<const N: usize>;

/// The arguments' positions: `argnums::<(A0, A2)>()`.
pub type A0 = Arg<0>;
/// See [`A0`].
pub type A1 = Arg<1>;
/// See [`A0`].
pub type A2 = Arg<2>;
/// See [`A0`].
pub type A3 = Arg<3>;
/// See [`A0`].
pub type A4 = Arg<4>;
/// See [`A0`].
pub type A5 = Arg<5>;
/// See [`A0`].
pub type A6 = Arg<6>;
/// See [`A0`].
pub type A7 = Arg<7>;

/// A choice of arguments to differentiate: one position, or a tuple of them.
pub trait Select<Args> {
    /// The chosen trees: a tree for one position, a tuple for a tuple.
    type Selected: Tree;

    /// The chosen positions, in the order asked for.
    fn positions() -> Vec<usize>;

    /// A copy of the chosen trees.
    fn get(args: &Args) -> Self::Selected;

    /// The arguments with the chosen trees put in place.
    fn put(args: &mut Args, selected: Self::Selected);
}

/// Which dim of each argument is mapped: see [`Vmap::in_axes`](crate::vmap::Vmap::in_axes).
pub trait InAxes<Args> {
    /// The dim for argument `arg`.
    fn dim(&self, arg: usize) -> Option<isize>;
}

/// One entry of a tuple of them.
pub trait InAxis {
    /// The dim; `None` for an argument that is passed whole.
    fn dim(&self) -> Option<isize>;
}

impl InAxis for isize {
    fn dim(&self) -> Option<isize> {
        Some(*self)
    }
}

impl InAxis for Option<isize> {
    fn dim(&self) -> Option<isize> {
        *self
    }
}

impl<Args> InAxes<Args> for isize {
    fn dim(&self, _: usize) -> Option<isize> {
        Some(*self)
    }
}

impl<Args: ArgList> InAxes<Args> for Vec<Option<isize>> {
    fn dim(&self, arg: usize) -> Option<isize> {
        check_entries::<Args>(self.len());
        self[arg]
    }
}

fn check_entries<Args: ArgList>(entries: usize) {
    let arguments = Args::COUNT;
    assert_eq!(
        entries, arguments,
        "vmap: in_axes has {entries} entries, and there are {arguments} arguments"
    );
}

/// Implements the traits for one arity; stable Rust has no other way to range over tuples.
macro_rules! arity {
    ($($name:ident $index:tt),+) => {
        impl<Func, Ret, $($name),+> Function<($($name,)+)> for Func
        where
            Func: Fn($(&$name),+) -> Ret,
        {
            type Output = Ret;
            #[track_caller]
            fn call(&self, args: &($($name,)+)) -> Ret {
                self($(&args.$index),+)
            }
        }

        impl<$($name: Tree),+> ArgList for ($($name,)+) {
            const COUNT: usize = [$($index),+].len();
            fn map_args(&self, map: &mut dyn FnMut(usize, &Path<'_>, &Tensor) -> Tensor) -> Self {
                ($(self.$index.map(&Path::ROOT.field(stringify!($index)), &mut |path, leaf| {
                    map($index, path, leaf)
                }),)+)
            }
        }

        impl<$($name: Tree),+> Arguments for ($(&$name,)+) {
            type Args = ($($name,)+);
            fn to_args(self) -> Self::Args {
                ($(self.$index.clone(),)+)
            }
        }
    };
}

macro_rules! select {
    ($n:tt $chosen:ident: $($name:ident),+) => {
        impl<$($name: Tree),+> Select<($($name,)+)> for Arg<$n> {
            type Selected = $chosen;
            fn positions() -> Vec<usize> {
                vec![$n]
            }
            fn get(args: &($($name,)+)) -> $chosen {
                args.$n.clone()
            }
            fn put(args: &mut ($($name,)+), selected: $chosen) {
                args.$n = selected;
            }
        }
    };
}

macro_rules! several {
    ($($name:ident $index:tt),+) => {
        impl<Args: ArgList, $($name: InAxis),+> InAxes<Args> for ($($name,)+) {
            fn dim(&self, arg: usize) -> Option<isize> {
                let dims = [$(self.$index.dim()),+];
                check_entries::<Args>(dims.len());
                dims[arg]
            }
        }

        impl<Args, $($name: Select<Args>),+> Select<Args> for ($($name,)+) {
            type Selected = ($($name::Selected,)+);
            fn positions() -> Vec<usize> {
                [$($name::positions()),+].concat()
            }
            fn get(args: &Args) -> Self::Selected {
                ($($name::get(args),)+)
            }
            fn put(args: &mut Args, selected: Self::Selected) {
                $($name::put(args, selected.$index);)+
            }
        }
    };
}

arity!(A 0);
arity!(A 0, B 1);
arity!(A 0, B 1, C 2);
arity!(A 0, B 1, C 2, D 3);
arity!(A 0, B 1, C 2, D 3, E 4);
arity!(A 0, B 1, C 2, D 3, E 4, F 5);
arity!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
arity!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

select!(0 A: A);
select!(0 A: A, B);
select!(1 B: A, B);
select!(0 A: A, B, C);
select!(1 B: A, B, C);
select!(2 C: A, B, C);
select!(0 A: A, B, C, D);
select!(1 B: A, B, C, D);
select!(2 C: A, B, C, D);
select!(3 D: A, B, C, D);
select!(0 A: A, B, C, D, E);
select!(1 B: A, B, C, D, E);
select!(2 C: A, B, C, D, E);
select!(3 D: A, B, C, D, E);
select!(4 E: A, B, C, D, E);
select!(0 A: A, B, C, D, E, F);
select!(1 B: A, B, C, D, E, F);
select!(2 C: A, B, C, D, E, F);
select!(3 D: A, B, C, D, E, F);
select!(4 E: A, B, C, D, E, F);
select!(5 F: A, B, C, D, E, F);
select!(0 A: A, B, C, D, E, F, G);
select!(1 B: A, B, C, D, E, F, G);
select!(2 C: A, B, C, D, E, F, G);
select!(3 D: A, B, C, D, E, F, G);
select!(4 E: A, B, C, D, E, F, G);
select!(5 F: A, B, C, D, E, F, G);
select!(6 G: A, B, C, D, E, F, G);
select!(0 A: A, B, C, D, E, F, G, H);
select!(1 B: A, B, C, D, E, F, G, H);
select!(2 C: A, B, C, D, E, F, G, H);
select!(3 D: A, B, C, D, E, F, G, H);
select!(4 E: A, B, C, D, E, F, G, H);
select!(5 F: A, B, C, D, E, F, G, H);
select!(6 G: A, B, C, D, E, F, G, H);
select!(7 H: A, B, C, D, E, F, G, H);

several!(A 0);
several!(A 0, B 1);
several!(A 0, B 1, C 2);
several!(A 0, B 1, C 2, D 3);
several!(A 0, B 1, C 2, D 3, E 4);
several!(A 0, B 1, C 2, D 3, E 4, F 5);
several!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
several!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
