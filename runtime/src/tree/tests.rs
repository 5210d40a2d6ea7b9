use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::{Path, difference, leaf_count};
use crate::Tree;
use crate::tensor::Tensor;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Activation {
    Relu,
}

#[derive(Clone, Tree)]
struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    #[tree(skip)]
    activation: Activation,
    name: String,
}

#[derive(Clone, Tree)]
struct Pair<A, B>(A, B)
where
    A: Copy;

#[derive(Clone, Tree)]
struct Nothing;

#[derive(Clone, Tree)]
enum Shape<T> {
    Circle { radius: T },
    Box(T, T),
    Point,
}

#[derive(Clone, Tree)]
struct Model<const N: usize> {
    layers: Vec<Linear>,
    scales: [Tensor; N],
    shape: Shape<Tensor>,
    r#type: Box<Tensor>,
    nothing: Nothing,
}

fn t(value: f64) -> Tensor {
    Tensor::from(value)
}

fn linear(start: f64) -> Linear {
    Linear { weight: t(start), bias: Some(t(start + 1.0)), activation: Activation::Relu, name: "l".into() }
}

fn model() -> Model<2> {
    Model {
        layers: vec![linear(0.0), Linear { bias: None, ..linear(2.0) }],
        scales: [t(3.0), t(4.0)],
        shape: Shape::Box(t(5.0), t(6.0)),
        r#type: Box::new(t(7.0)),
        nothing: Nothing,
    }
}

fn values(tree: &impl Tree) -> Vec<f64> {
    tree.leaves().iter().map(|leaf| leaf.item()).collect()
}

#[test]
fn leaves_come_in_the_order_of_declaration_with_their_paths() {
    assert_eq!(values(&model()), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(
        model().leaf_paths(),
        [
            "layers[0].weight",
            "layers[0].bias",
            "layers[1].weight",
            "scales[0]",
            "scales[1]",
            "shape.Box.0",
            "shape.Box.1",
            "type"
        ]
    );
    assert_eq!(leaf_count(&model()), 8);
}

#[test]
fn map_keeps_structure_and_plain_data() {
    let doubled = model().map_leaves(|leaf| t(leaf.item::<f64>() * 2.0));
    assert_eq!(values(&doubled), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]);
    assert_eq!(difference(&model(), &doubled), None);
    assert_eq!(doubled.layers[1].activation, Activation::Relu);
    assert_eq!(doubled.layers[0].name, "l");
    assert!(doubled.layers[1].bias.is_none());
}

#[test]
fn map_and_visit_see_the_same_paths() {
    let mut paths = Vec::new();
    model().map(&Path::ROOT, &mut |path, leaf| {
        paths.push(path.to_string());
        leaf.clone()
    });
    assert_eq!(paths, model().leaf_paths());
}

#[test]
fn zip_pairs_the_leaves() {
    let sum = model().zip_leaves(&model(), |path, a, b| {
        assert_eq!(a.item::<f64>(), b.item::<f64>(), "{path}");
        t(a.item::<f64>() + b.item::<f64>())
    });
    assert_eq!(values(&sum), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]);
}

#[test]
#[should_panic(
    expected = "the left one has a leaf at `layers[1].bias`, the right one a leaf at `scales[0]`\n   \
                           left:  9 leaves      right: 8 leaves"
)]
fn zip_names_the_leaf_that_one_side_lacks() {
    let mut left = model();
    left.layers[1].bias = Some(t(0.0));
    left.zip_leaves(&model(), |_, a, _| a.clone());
}

#[test]
fn a_difference_at_the_end_and_in_the_variant_is_seen() {
    let shorter = vec![t(1.0)];
    assert!(difference(&vec![t(1.0), t(2.0)], &shorter).unwrap().contains("at `[1]`, the right one no more"));
    let (circle, other) = (Shape::Circle { radius: t(1.0) }, Shape::Box(t(1.0), t(1.0)));
    assert!(difference(&circle, &other).unwrap().contains("a leaf at `Circle.radius`"));
    assert_eq!(difference(&Shape::<Tensor>::Point, &Shape::<Tensor>::Point), None);
}

#[test]
fn generics_and_tuples() {
    assert_eq!(Pair(1.5, t(2.0)).leaf_paths(), [".1"]);
    assert_eq!((t(1.0), vec![t(2.0)], ((), 3)).leaf_paths(), [".0", ".1[0]"]);
    assert_eq!(Rc::new(t(1.0)).leaf_paths(), [""]);
    assert_eq!(values(&(t(1.0), 2, t(3.0), "x", t(5.0), 6.0, t(7.0), t(8.0))), [1.0, 3.0, 5.0, 7.0, 8.0]);
}

#[test]
fn maps_come_in_key_order() {
    let pairs = || ["b", "a", "d", "c"].into_iter().zip([1.0, 0.0, 3.0, 2.0].map(t));
    let hash: HashMap<String, Tensor> = pairs().map(|(k, v)| (k.to_string(), v)).collect();
    let btree: BTreeMap<&'static str, Tensor> = pairs().collect();
    assert_eq!(values(&hash), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(values(&btree), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(hash.leaf_paths()[1], r#"["b"]"#);
    assert_eq!(values(&hash.map_leaves(|leaf| t(leaf.item::<f64>() + 1.0))), [1.0, 2.0, 3.0, 4.0]);
}
