use axisgrad::ops::zeros;
use axisgrad::random::Key;
use axisgrad::{A0, A1, DType, Tensor, Tree, grad};

use crate::probe::{refuses, same, t, tensor, x};

const INPUT: &str = "an input must be float or complex, and it is ";

fn times_one(x: &Tensor) -> Tensor {
    x.cast(DType::F64).sum(())
}

#[test]
fn int() {
    refuses(&format!("{INPUT}i32"), || grad(times_one).at(&Tensor::from(3)));
}

#[test]
fn int_array() {
    refuses(&format!("{INPUT}i32"), || grad(times_one).at(&tensor([0, 1, 2])));
}

#[test]
fn bool() {
    refuses(&format!("{INPUT}bool"), || grad(times_one).at(&Tensor::from(true)));
}

#[test]
fn uint8() {
    refuses(&format!("{INPUT}u8"), || grad(times_one).at(&Tensor::from(3u8)));
}

#[test]
fn string() {
    assert_eq!(grad(|_: &String| t(1.0)).at(&"abc".to_owned()), "abc");
}

#[test]
fn none() {
    assert!(grad(|_: &Option<Tensor>| t(1.0)).at(&None).is_none());
}

#[derive(Clone, Tree)]
struct Pair {
    a: Tensor,
    b: Option<Tensor>,
}

#[test]
fn none_leaf() {
    let gradient = grad(|p: &Pair| p.a.square()).at(&Pair { a: t(2.0), b: None });
    assert!(gradient.b.is_none());
    same("input", "none_leaf", &gradient);
}

#[test]
fn empty_tuple() {
    let () = grad(|_: &()| t(1.0)).at(&());
}

#[test]
fn nested_empty() {
    same("input", "nested_empty", &grad(|p: &((), Tensor)| p.1.square()).at(&((), t(3.0))));
}

#[test]
fn python_float() {
    assert_eq!(grad(Tensor::square).at(&t(3.0)).ty().to_string(), "f64[]");
}

#[test]
fn bfloat16() {
    let gradient = grad(|x: &Tensor| x.index(0, 0).square()).at(&x().cast(DType::BF16));
    assert_eq!(gradient.ty().to_string(), "bf16[2]");
}

#[test]
fn list_is_tree() {
    same("input", "list_is_tree", &grad(|p: &Vec<Tensor>| &p[0] * &p[1]).at(&vec![t(3.0), t(4.0)]));
}

#[derive(Clone, Tree)]
pub struct Indexed {
    pub w: Tensor,
    pub i: Tensor,
}

pub fn indexed() -> Indexed {
    Indexed { w: x(), i: Tensor::from(1) }
}

pub fn square_at(p: &Indexed) -> Tensor {
    axisgrad::ops::take(&p.w, &p.i, 0).square()
}

#[test]
fn int_leaf() {
    refuses("an input must be float or complex, and `i` is i32", || grad(square_at).at(&indexed()));
}

#[test]
fn prng_key() {
    assert_eq!(grad(|_: &Key| t(1.0)).at(&Key::new(7)), Key::new(7));
}

#[test]
fn unused_argument() {
    let gradients = grad(|_: &Tensor, b: &Tensor| b.square()).argnums::<(A0, A1)>().at((&x(), &t(3.0)));
    same("input", "unused_argument", &gradients);
}

#[test]
fn more_elements_than_memory() {
    let many = [1 << 31, 1 << 31];
    refuses("more elements than memory could hold", || t(1.0).broadcast_to(&many));
    refuses("more elements than memory could hold", || zeros(DType::F32, [1usize << 32, 1 << 32]));
    let (column, row) = (t(1.0).broadcast_to(&[1 << 35, 1]), t(1.0).broadcast_to(&[1, 1 << 35]));
    refuses("more elements than memory could hold", || column.matmul(&row));
    refuses("reshape", || tensor([0.0; 0]).reshape([1isize << 32, 1 << 32]));
}
