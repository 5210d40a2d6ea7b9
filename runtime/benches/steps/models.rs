//! The models that are compared, with the loss of one example of each and a batch to train on.

use axisgrad::nn::{Conv2d, Embedding, LayerNorm, Linear, TransformerBlock};
use axisgrad::optim::{adamw, sgd};
use axisgrad::prelude::*;
use axisgrad::random::{normal, randint};

/// Moves a model by a gradient.
pub type Update<M> = Box<dyn FnMut(&mut M, &M)>;

/// A model and all that a step needs; the batch is on the host.
pub struct Task<M> {
    pub model: M,
    pub loss: fn(&M, &Tensor, &Tensor) -> Tensor,
    pub update: Update<M>,
    pub x: Tensor,
    pub y: Tensor,
}

const RATE: f64 = 1e-3;
const CLASSES: usize = 10;
const VOCABULARY: usize = 96;
const WIDTH: usize = 128;
const HEADS: usize = 4;
const CONTEXT: usize = 128;

fn plain<M: Tree>() -> Update<M> {
    Box::new(|model, gradient| sgd(RATE).update(model, gradient))
}

fn images(dims: &[usize]) -> (Tensor, Tensor) {
    let labels = (0..dims[0] as i32).map(|i| i % CLASSES as i32).collect();
    (normal(Key::new(1), DType::F32, dims), Array::from_vec::<i32>(labels, [dims[0]]).into())
}

#[derive(Clone, Tree)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    fn logits(&self, x: &Tensor) -> Tensor {
        let (last, hidden) = self.layers.split_last().expect("a layer");
        last.apply(&hidden.iter().fold(x.clone(), |x, layer| layer.apply(&x).relu()))
    }
}

/// Rectifiers between layers of these sizes; gradient descent.
pub fn mlp(sizes: &[usize], batch: usize) -> Task<Mlp> {
    let keys = Key::new(0).split(sizes.len() - 1);
    let layers = sizes.windows(2).zip(keys).map(|(s, key)| Linear::init(key, s[0], s[1])).collect();
    let (x, y) = images(&[batch, sizes[0]]);
    let loss = |model: &Mlp, x: &Tensor, y: &Tensor| cross_entropy(&model.logits(x), y);
    Task { model: Mlp { layers }, loss, update: plain(), x, y }
}

#[derive(Clone, Tree)]
pub struct Transformer {
    characters: Embedding,
    places: Embedding,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    out: Linear,
}

impl Transformer {
    fn logits(&self, text: &Tensor) -> Tensor {
        let x = self.characters.apply(text) + &self.places.table;
        let x = self.blocks.iter().fold(x, |x, block| block.apply(&x, None));
        self.out.apply(&self.norm.apply(&x))
    }
}

/// Decoder only: vocabulary 96, width 128, 4 heads, 4 layers, context 128, pre-LN, GELU; AdamW.
pub fn transformer(batch: usize) -> Task<Transformer> {
    let key = Key::new(0);
    let model = Transformer {
        characters: Embedding::init(key.fold_in(0), VOCABULARY, WIDTH),
        places: Embedding::init(key.fold_in(1), CONTEXT, WIDTH),
        blocks: (0..4).map(|i| TransformerBlock::init(key.fold_in(3 + i), WIDTH, HEADS).causal()).collect(),
        norm: LayerNorm::init(WIDTH),
        out: Linear::lecun(key.fold_in(2), WIDTH, VOCABULARY),
    };
    let mut state = adamw(1e-3).weight_decay(0.01).init(&model);
    let text = randint(Key::new(1), 0..VOCABULARY as i64, DType::I32, &[batch, CONTEXT + 1]);
    let (x, y) = (text.slice(1, ..CONTEXT), text.slice(1, 1..));
    let loss = |model: &Transformer, x: &Tensor, y: &Tensor| cross_entropy(&model.logits(x), y).mean(());
    Task { model, loss, update: Box::new(move |model, gradient| state.update(model, gradient)), x, y }
}

#[derive(Clone, Tree)]
pub struct Cnn {
    convolutions: [Conv2d; 2],
    hidden: Linear,
    out: Linear,
}

impl Cnn {
    fn logits(&self, x: &Tensor) -> Tensor {
        let x = self.convolutions.iter().fold(x.clone(), |x, layer| layer.apply(&x).relu());
        let x = x.max_pool(&[2, 2], &[2, 2], &[]).flatten();
        self.out.apply(&self.hidden.apply(&x).relu())
    }
}

/// Images of 28×28, 3×3×32, 3×3×64, pooling by 2, 128, 10; gradient descent.
pub fn cnn(batch: usize) -> Task<Cnn> {
    let [first, second, third, fourth] = Key::new(0).split(4)[..] else { unreachable!("four keys") };
    let model = Cnn {
        convolutions: [Conv2d::init(first, 1, 32, 3), Conv2d::init(second, 32, 64, 3)],
        hidden: Linear::init(third, 64 * 12 * 12, 128),
        out: Linear::init(fourth, 128, CLASSES),
    };
    let (x, y) = images(&[batch, 1, 28, 28]);
    let loss = |model: &Cnn, x: &Tensor, y: &Tensor| cross_entropy(&model.logits(x), y);
    Task { model, loss, update: plain(), x, y }
}
