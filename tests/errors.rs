//! The message of every broken contract, whole: the types, the rule, and what to do.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axisgrad::data::Batches;
use axisgrad::nn::{self, Linear};
use axisgrad::ops;
use axisgrad::optim::{adamw, sgd};
use axisgrad::prelude::*;
use axisgrad::random::Key;

/// What `f` panics with; its lines of source are replaced by `<line>`.
fn message(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it must panic");
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let text = text.expect("a text");
    let Some((before, line)) = text.split_once("tests/errors.rs:") else { return text };
    format!("{before}<line>{}", line.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn ones(dims: &[usize]) -> Tensor {
    Array::ones(DType::F32, dims).into()
}

/// Runs on one worker, with a batch of four rows of three.
fn with_batch(f: impl Fn(&Worker, &Tensor) + Sync) {
    let mesh = Mesh::builder().axes(["batch"]).threads(1).build().expect("a mesh");
    mesh.run(|w| {
        f(w, &w.unstack(&ones(&[4, 3]), "batch"));
        Ok::<_, axisgrad::Error>(())
    })
    .expect("it runs");
}

fn message_with_batch(f: impl Fn(&Worker, &Tensor) + Sync) -> String {
    let text = std::sync::Mutex::new(String::new());
    with_batch(|w, x| *text.lock().unwrap() = message(|| f(w, x)));
    text.into_inner().unwrap()
}

#[test]
fn inner_dims() {
    let text = message_with_batch(|_, x| drop(x.matmul(&ones(&[5, 2]))));
    assert_eq!(
        text,
        "matmul: inner dims differ: 3 and 5\n   left: f32[3]{batch}\n   right: f32[5,2]\n   at <line>"
    );
}

#[test]
fn dims_that_do_not_broadcast() {
    let text = message(|| drop(&ones(&[2]) + &ones(&[3])));
    assert_eq!(text, "add: dims 2 and 3 do not broadcast\n   left: f32[2]\n   right: f32[3]\n   at <line>");
}

#[test]
fn psum_of_an_invariant_value() {
    let text = message_with_batch(|_, _| drop(psum(&ones(&[10]), "batch")));
    assert_eq!(
        text,
        "psum: the operand does not vary over `batch`\n   help: drop the psum, or multiply by \
         axis_size(\"batch\") if you meant to count it at every position, or make it vary first with pvary\n   \
         operand: f32[10]\n   at <line>"
    );
}

#[test]
fn two_sizes_of_one_axis() {
    let text = message_with_batch(|w, x| drop(x + &w.unstack(&ones(&[5, 3]), "batch")));
    assert_eq!(
        text,
        "add: `batch` has 4 positions in one operand and 5 in another\n   left: f32[3]{batch}\n   right: \
         f32[3]{batch}\n   at <line>"
    );
}

#[test]
fn a_value_that_varies_has_no_item() {
    let text = message_with_batch(|_, x| {
        let _ = x.sum(()).item::<f32>();
    });
    assert_eq!(
        text,
        "to_array: the value varies over `batch`, and workers that read different values fall out of step\n   \
         help: sum it with psum(&x, \"batch\"), collect it with gather(&x, \"batch\"), or take this worker's \
         lanes with local()\n   operand: f32[]{batch}\n   at <line>"
    );
}

#[test]
fn a_loss_that_is_no_scalar() {
    let text = message(|| drop(grad(|x: &Tensor| x.sin()).at(&ones(&[1]))));
    assert_eq!(
        text,
        "grad: the function must return a scalar, dims []\n   help: sum() it, index it, or use vjp\n   operand: \
         f32[1]\n   at <line>"
    );
}

#[test]
fn a_loss_of_integers() {
    let text = message(|| drop(grad(|x: &Tensor| x.sum(()).cast(DType::I32)).at(&ones(&[1]))));
    assert_eq!(
        text,
        "grad: the result must be float, and it is i32\n   help: convert it with cast(), or use vjp\n   operand: \
         i32[]\n   at <line>"
    );
}

#[test]
fn an_argument_of_integers() {
    let args = (ones(&[2]), Tensor::from([1i32, 2]));
    let text = message(|| drop(grad(|p: &(Tensor, Tensor)| (&p.0 * &p.1).sum(())).at(&args)));
    assert_eq!(
        text,
        "grad: an input must be float or complex, and `.1` is i32\n   help: .allow_int() gives it a float0 \
         gradient; or convert it with cast()\n   operand: i32[2]\n   at <line>"
    );
}

#[test]
fn holomorphic_of_a_real_argument() {
    let text = message(|| drop(grad(|x: &Tensor| x.sum(())).holomorphic().at(&ones(&[2]))));
    assert_eq!(
        text,
        "grad: holomorphic needs complex inputs, and it is f32\n   operand: f32[2]\n   at <line>"
    );
}

#[test]
fn an_axis_that_nothing_varies_over() {
    let text = message_with_batch(|_, x| {
        drop(grad(|w: &Tensor, x: &Tensor| w.dot(x)).reduce_axes(["bacth"]).at((&ones(&[3]), x)));
    });
    assert_eq!(
        text,
        "grad: nothing in the function varies over `bacth`, which is in reduce_axes\n   values there vary over: \
         `batch`\n   help: bind data to it with worker.unstack(&x, \"bacth\"), or drop the name\n   at <line>"
    );
}

/// By every transform, with the line that calls it.
#[test]
fn an_axis_listed_twice() {
    let twice = ["batch", "batch"];
    let sum = |x: &Tensor| x.sum(());
    let expected = "grad: `batch` is in reduce_axes twice\n   at <line>";
    assert_eq!(message(|| drop(grad(sum).reduce_axes(twice).at(&ones(&[3])))), expected);
    assert_eq!(message(|| drop(jacrev(sum).reduce_axes(twice).at(&ones(&[3])))), expected);
    assert_eq!(message(|| drop(linear_transpose(sum).reduce_axes(twice).at(&ones(&[3])))), expected);
}

#[test]
fn a_jacobian_over_an_axis_that_nothing_varies_over() {
    let text = message_with_batch(|_, x| {
        drop(jacrev(|w: &Tensor, x: &Tensor| w.dot(x)).reduce_axes(["bacth"]).at((&ones(&[3]), x)));
    });
    assert!(text.contains("nothing in the function varies over `bacth`"), "{text}");
    assert!(text.ends_with("at <line>"), "{text}");
}

#[test]
fn examples_that_have_no_rows() {
    let text = message(|| drop(Batches::of(&Tensor::from(1.0), 2)));
    assert_eq!(text, "batches: a leaf without dims has no rows");
}

#[test]
fn an_axis_that_leaves_no_trace_may_be_listed() {
    with_batch(|_, x| {
        let loss = |w: &Tensor| (w * psum(x, "batch")).sum(());
        assert!(grad(loss).reduce_axes(["batch"]).at(&ones(&[3])).axes().is_empty());
    });
}

/// A penalty on weights that are spread over `model` has nothing to do with the batch.
#[test]
fn an_axis_of_the_mesh_may_be_listed() {
    let mesh = Mesh::builder().axes(["batch"]).axis("model", 2).threads(2).build().expect("a mesh");
    let run = |w: &Worker| -> Result<_> {
        let weights = w.unstack(&ones(&[2, 3]), "model");
        let gradient = grad(|w: &Tensor| w.square().sum(())).reduce_axes(["batch"]).at(&weights);
        Ok(gather(&gradient, "model").to_vec::<f32>())
    };
    assert_eq!(mesh.run(run).unwrap(), [2.0; 6]);
}

/// Where the check is made in a closure, or inside a layer, too.
#[test]
fn the_line_is_the_caller_s() {
    let x = || ones(&[2, 3]);
    let attention = nn::MultiHeadAttention::init(Key::new(0), 8, 2);
    let wrong: [&dyn Fn() -> Tensor; 6] = [
        &|| x().reshape([4, -1]),
        &|| (x().axis("batch").size() as f64).into(),
        &|| ops::dynamic_slice(&x(), &[], &[]),
        &|| ops::scaled_dot_product_attention(&x(), &x().t(), &x(), &ops::Attention::default()),
        &|| attention.apply(&x()),
        &|| nn::Dropout { rate: 1.5 }.apply(&x(), Some(Key::new(0))),
    ];
    for (i, wrong) in wrong.into_iter().enumerate() {
        let text = message(|| drop(wrong()));
        assert!(text.ends_with("at <line>"), "{i}: {text}");
    }
}

#[test]
fn an_axis_or_an_argument_twice() {
    let f = |w: &Tensor, x: &Tensor| w.dot(x);
    let twice = message(|| drop(grad(f).reduce_axes(["batch", "batch"]).at((&ones(&[3]), &ones(&[3])))));
    assert_eq!(twice, "grad: `batch` is in reduce_axes twice\n   at <line>");
    let twice = message(|| drop(grad(f).argnums::<(A0, A0)>().at((&ones(&[3]), &ones(&[3])))));
    assert_eq!(twice, "grad: argument 0 is in argnums twice\n   at <line>");
}

#[test]
fn a_tensor_that_escaped() {
    let escaped = std::cell::RefCell::new(None);
    grad(|x: &Tensor| {
        *escaped.borrow_mut() = Some(x * 2.0);
        x.sum(())
    })
    .at(&ones(&[2]));
    let escaped = escaped.into_inner().expect("saved");
    let text = message(|| drop(escaped.exp()));
    assert_eq!(
        text,
        "exp: an operand was saved inside a function under `grad` and used after it returned\n   help: return it \
         (has_aux), or take stop_gradient() of it before saving it\n   operand: f32[2]\n   at <line>"
    );
}

#[test]
fn a_gradient_that_was_not_reduced() {
    let text = message_with_batch(|w, x| {
        let model = vec![Linear::init(w.key(0), 3, 2)];
        let loss = |model: &Vec<Linear>, x: &Tensor| model[0].apply(x).sum(());
        let gradient = grad(loss).at((&model, x));
        sgd(0.1).update(&mut model.clone(), &gradient);
    });
    assert_eq!(
        text,
        "sgd: gradient and parameter disagree at `[0].weight`\n   parameter: f32[3,2]      gradient: \
         f32[3,2]{batch}\n   help: add \"batch\" to reduce_axes\n   at <line>"
    );
}

#[test]
fn a_gradient_of_another_structure() {
    let text = message(|| {
        let mut model = vec![ones(&[2])];
        adamw(0.1).init(&model).update(&mut model, &vec![ones(&[2]), ones(&[2])]);
    });
    assert!(text.starts_with("adamw: the trees differ in structure"), "{text}");
}

#[test]
fn examples_that_do_not_match() {
    let text = message(|| drop(vmap(|x: &Tensor, y: &Tensor| x + y).at((&ones(&[3]), &ones(&[4])))));
    assert_eq!(
        text,
        "vmap: there are 3 examples in argument .0 and 4 in argument .1\n   left: f32[3]\n   right: f32[4]\n   at \
         <line>"
    );
}

#[test]
fn a_result_that_varies_with_the_example() {
    let text = message(|| drop(vmap(|x: &Tensor| x * 2.0).axis("row").out_axes(None).at(&ones(&[3]))));
    assert_eq!(
        text,
        "vmap: out_axes is None, and the result varies with the example\n   operand: f32[]{row}\n   at <line>"
    );
}

#[test]
fn permutations_that_are_none() {
    let twice = message_with_batch(|_, x| drop(ppermute(x, "batch", &[(0, 1), (2, 1)])));
    assert_eq!(twice, "ppermute: position 1 receives twice\n   operand: f32[3]{batch}\n   at <line>");
    let far = message_with_batch(|_, x| drop(ppermute(x, "batch", &[(0, 7)])));
    assert_eq!(
        far,
        "ppermute: position 7 is out of range: `batch` has 4 positions\n   operand: f32[3]{batch}\n   at <line>"
    );
}

/// A mismatch between workers is one error on all of them, and names both lines.
#[test]
fn workers_that_call_different_things() {
    let mesh = Mesh::builder().axes(["batch"]).threads(2).build().expect("a mesh");
    let error = mesh
        .run(|w| {
            let x = w.unstack(&ones(&[64, 3]), "batch");
            if w.index() == 0 {
                drop(psum(&x, "batch"))
            } else {
                drop(gather(&x, "batch"))
            }
            Ok::<_, axisgrad::Error>(())
        })
        .expect_err("the calls differ")
        .to_string();
    assert!(
        error.starts_with("collective mismatch in group `batch`\n   worker 0 calls psum f32[3] (errors.rs:"),
        "{error}"
    );
    assert!(error.contains("worker 1 calls gather f32[3] (errors.rs:"), "{error}");
}

/// Operands alike, and the same operation, by which they would yet exchange other things.
#[test]
fn workers_that_call_the_same_thing_otherwise() {
    let mesh = Mesh::builder().axes(["batch"]).threads(2).build().expect("a mesh");
    type Call = fn(&Tensor, bool);
    let calls: [(&str, Call); 3] = [
        ("ppermute", |x, one| {
            drop(ppermute(x, "batch", if one { &[(0, 1), (1, 0)] } else { &[(0, 0), (1, 1)] }))
        }),
        ("all_to_all", |x, one| drop(all_to_all(x, "batch", 0, isize::from(one)))),
        ("psum_scatter", |x, one| drop(psum_scatter(x, "batch", isize::from(one)))),
    ];
    for (name, call) in calls {
        let run = |w: &Worker| {
            call(&w.unstack(&ones(&[2, 2, 2]), "batch"), w.index() == 1);
            Ok::<_, axisgrad::Error>(())
        };
        let error = mesh.run(run).expect_err("the calls differ").to_string();
        assert!(
            error.starts_with("collective mismatch") && error.contains(&format!("worker 1 calls {name} f32")),
            "{error}"
        );
    }
}

/// A contract broken on one worker ends the run with its message.
#[test]
fn a_contract_broken_on_one_worker() {
    let mesh = Mesh::builder().axes(["batch"]).threads(3).build().expect("a mesh");
    let error = mesh
        .run(|w| {
            let x = w.unstack(&ones(&[64, 3]), "batch");
            if w.index() == 1 {
                let _ = x.matmul(&ones(&[5, 2]));
            }
            drop(psum(&x, "batch"));
            Ok::<_, axisgrad::Error>(())
        })
        .expect_err("the dims differ")
        .to_string();
    assert!(error.starts_with("worker 1 panicked"), "{error}");
    assert!(error.contains("matmul: inner dims differ: 3 and 5"), "{error}");
    assert!(error.contains("tests/errors.rs:"), "{error}");
}
