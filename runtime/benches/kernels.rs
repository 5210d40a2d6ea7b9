//! What the kernels reach, one by one, on the shapes of the models in `steps`, all f32: FLOP/s (`item/s`) of products,
//! bytes read and written per second of the rest.
//!
//!     scripts/bench kernels
//!     taskset -c 0 cargo bench -p axisgrad --bench kernels -- product    # on one core; those with this in their name

use std::fmt;

use axisgrad::nn::Linear;
use axisgrad::optim::{adamw, sgd};
use axisgrad::prelude::*;
use axisgrad::random::{normal, randint};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn random(dims: &[usize]) -> Tensor {
    normal(Key::new(0), DType::F32, dims)
}

/// Times a kernel. Its result is dropped within the time, as a program drops it: memory comes back to the pool.
fn run<T>(bencher: Bencher, mut kernel: impl FnMut() -> T) {
    bencher.bench_local(|| drop(black_box(kernel())));
}

/// Of so many elements, read or written.
fn moved(elements: usize) -> BytesCount {
    BytesCount::new(elements * size_of::<f32>())
}

/// A layer's product, `f32[rows,inputs]` and `f32[inputs,outputs]`.
struct Product {
    rows: usize,
    inputs: usize,
    outputs: usize,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}×{}×{}", self.rows, self.inputs, self.outputs)
    }
}

const PRODUCTS: [Product; 7] = [
    Product { rows: 256, inputs: 784, outputs: 512 },
    Product { rows: 256, inputs: 512, outputs: 512 },
    Product { rows: 256, inputs: 512, outputs: 10 },
    Product { rows: 64, inputs: 64, outputs: 128 },
    Product { rows: 2048, inputs: 128, outputs: 384 },
    Product { rows: 2048, inputs: 128, outputs: 512 },
    Product { rows: 2048, inputs: 512, outputs: 128 },
];

impl Product {
    fn flops(&self) -> ItemsCount {
        ItemsCount::new(2 * self.rows * self.inputs * self.outputs)
    }

    fn x(&self) -> Tensor {
        random(&[self.rows, self.inputs])
    }

    fn weight(&self) -> Tensor {
        random(&[self.inputs, self.outputs])
    }

    /// A cotangent of the result.
    fn ct(&self) -> Tensor {
        random(&[self.rows, self.outputs])
    }
}

#[divan::bench(args = &PRODUCTS)]
fn product(bencher: Bencher, of: &Product) {
    let (x, weight) = (of.x(), of.weight());
    run(bencher.counter(of.flops()), || x.matmul(&weight));
}

#[divan::bench(args = &PRODUCTS)]
fn product_ct_of_x(bencher: Bencher, of: &Product) {
    let (ct, weight) = (of.ct(), of.weight());
    run(bencher.counter(of.flops()), || dot_general(&ct, &weight, &[(1, 1)], &[]));
}

#[divan::bench(args = &PRODUCTS)]
fn product_ct_of_weight(bencher: Bencher, of: &Product) {
    let (x, ct) = (of.x(), of.ct());
    run(bencher.counter(of.flops()), || dot_general(&x, &ct, &[(0, 0)], &[]));
}

/// The same where rows are positions along a named axis: the sum goes along the tree.
#[divan::bench(args = &PRODUCTS)]
fn product_ct_of_weight_over_axis(bencher: Bencher, of: &Product) {
    let (x, ct) = (of.x().unstack("batch", 0), of.ct().unstack("batch", 0));
    let weight = of.weight();
    let (_, pullback) =
        vjp(|weight: &Tensor, x: &Tensor| x.matmul(weight)).reduce_axes(["batch"]).at((&weight, &x));
    run(bencher.counter(of.flops()), || pullback.call(&ct));
}

/// A function by its name.
struct Function(&'static str, fn(&Tensor) -> Tensor);

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What is inside a transformer's block, `f32[2048,512]`; and in a layer of the MLP, `f32[256,512]`.
const ACTIVATIONS: [usize; 2] = [256, 2048];

const ELEMENTWISE: [Function; 7] = [
    Function("relu", relu),
    Function("exp", exp),
    Function("log", log),
    Function("tanh", tanh),
    Function("erf", erf),
    Function("gelu", gelu),
    Function("gelu_exact", gelu_exact),
];

#[divan::bench(args = &ELEMENTWISE, consts = ACTIVATIONS)]
fn elementwise<const ROWS: usize>(bencher: Bencher, Function(_, f): &Function) {
    let x = random(&[ROWS, 512]);
    run(bencher.counter(moved(2 * x.len())), || f(&x));
}

const REDUCTIONS: [Function; 3] = [
    Function("sum of all", |x| x.sum(())),
    Function("sum of rows", |x| x.sum(-1)),
    Function("sum over rows", |x| x.sum(0)),
];

#[divan::bench(args = &REDUCTIONS, consts = ACTIVATIONS)]
fn reduction<const ROWS: usize>(bencher: Bencher, Function(_, f): &Function) {
    let x = random(&[ROWS, 512]);
    run(bencher.counter(moved(x.len())), || f(&x));
}

/// Rows of so many elements: classes, characters, a transformer's width.
const ROWS: [[usize; 2]; 3] = [[256, 10], [2048, 96], [2048, 128]];

#[divan::bench(args = ROWS)]
fn softmax(bencher: Bencher, dims: [usize; 2]) {
    let x = random(&dims);
    run(bencher.counter(moved(2 * x.len())), || x.softmax(-1));
}

#[divan::bench(args = ROWS)]
fn layer_norm(bencher: Bencher, dims: [usize; 2]) {
    let (x, scale, bias) = (random(&dims), random(&dims[1..]), random(&dims[1..]));
    let run_with = bencher.counter(moved(2 * x.len()));
    run(run_with, || axisgrad::ops::layer_norm(&x, &scale, &bias, 1e-5));
}

#[divan::bench(args = ROWS)]
fn cross_entropy(bencher: Bencher, dims: [usize; 2]) {
    let logits = random(&dims);
    let labels = randint(Key::new(1), 0..dims[1] as i64, DType::I32, &dims[..1]);
    run(bencher.counter(moved(logits.len())), || axisgrad::ops::cross_entropy(&logits, &labels));
}

/// Of a batch of 16, 4 heads of 32, 128 positions; FLOPs of the scores that are needed, and of their use.
#[divan::bench(args = [false, true])]
fn attention(bencher: Bencher, causal: bool) {
    let [batch, heads, places, width] = [16, 4, 128, 32];
    let x = random(&[batch, heads, places, width]);
    let settings = Attention { causal, ..Attention::default() };
    let seen = if causal { places * (places + 1) / 2 } else { places * places };
    let flops = 2 * 2 * batch * heads * seen * width;
    run(bencher.counter(ItemsCount::new(flops)), || scaled_dot_product_attention(&x, &x, &x, &settings));
}

/// Both convolutions of the CNN, by channels, kernels and sides of the image; FLOPs of the definition.
#[divan::bench(args = [[1, 32, 28], [32, 64, 26]])]
fn convolution_3x3(bencher: Bencher, [inputs, outputs, side]: [usize; 3]) {
    let batch = 64;
    let (x, kernel) = (random(&[batch, inputs, side, side]), random(&[outputs, inputs, 3, 3]));
    let flops = 2 * batch * outputs * (side - 2) * (side - 2) * inputs * 9;
    run(bencher.counter(ItemsCount::new(flops)), || x.conv(&kernel));
}

/// The parameters of an MLP of 784-512-512-10, and as many values of a gradient.
fn parameters() -> [Vec<Linear>; 2] {
    [0, 1].map(|seed| {
        let keys = Key::new(seed).split(3);
        let sizes = [(784, 512), (512, 512), (512, 10)];
        sizes.into_iter().zip(keys).map(|((from, to), key)| Linear::init(key, from, to)).collect()
    })
}

/// Of all leaves.
fn elements(model: &impl Tree) -> usize {
    model.leaves().iter().map(Tensor::len).sum()
}

#[divan::bench]
fn update_sgd(bencher: Bencher) {
    let [mut model, gradient] = parameters();
    let optimizer = sgd(1e-3);
    run(bencher.counter(moved(3 * elements(&model))), || optimizer.update(&mut model, &gradient));
}

#[divan::bench]
fn update_adamw(bencher: Bencher) {
    let [mut model, gradient] = parameters();
    let mut state = adamw(1e-3).weight_decay(0.01).init(&model);
    run(bencher.counter(moved(7 * elements(&model))), || state.update(&mut model, &gradient));
}
