use super::*;
use crate::check::{check_grads, check_lanes};
use crate::ops::waves::{close, waves};
use crate::ops::{gather, iota, psum, stack};
use crate::{A0, A1, grad, jvp, vmap};

/// `h f64[3], x f64[3]`: a recurrent step.
fn step(w: &Tensor) -> impl Fn(&Tensor, &Tensor) -> (Tensor, Tensor) + '_ {
    move |h, x| {
        let h = (h.dot(w) + x).tanh();
        (h.clone(), &h * &h)
    }
}

fn unrolled(w: &Tensor, xs: &Tensor) -> (Tensor, Tensor) {
    let (mut h, mut rows) = (Tensor::from([0.0, 0.0, 0.0]), Vec::new());
    for i in 0..xs.dims()[0] {
        h = (h.dot(w) + xs.index(0, i as isize)).tanh();
        rows.push(&h * &h);
    }
    (h, stack(&rows.iter().collect::<Vec<_>>(), 0))
}

fn scanned(w: &Tensor, xs: &Tensor) -> (Tensor, Tensor) {
    scan(step(w)).at((&Tensor::from([0.0, 0.0, 0.0]), xs))
}

fn both((last, rows): (Tensor, Tensor)) -> Tensor {
    last.sum(()) + rows.sin().sum(())
}

#[test]
fn a_scan_is_the_loop_written_out() {
    let (w, xs) = (waves(&[3, 3], 0.1), waves(&[4, 3], 0.5));
    let (last, rows) = scanned(&w, &xs);
    close(&last, &unrolled(&w, &xs).0);
    close(&rows, &unrolled(&w, &xs).1);
    let loss = |w: &Tensor, xs: &Tensor| both(scanned(w, xs));
    check_grads(loss, (&w, &xs), 2);
    let gradient = grad(loss).argnums::<(A0, A1)>().at((&w, &xs));
    let expected = grad(|w: &Tensor, xs: &Tensor| both(unrolled(w, xs))).argnums::<(A0, A1)>().at((&w, &xs));
    close(&gradient.0, &expected.0);
    close(&gradient.1, &expected.1);
    check_lanes(loss, (&waves(&[5, 3, 3], 0.1), &waves(&[5, 4, 3], 0.2)));
}

#[test]
fn backwards_without_rows_and_without_steps() {
    let add = |sum: &Tensor, x: &Tensor| (sum + x, sum.clone());
    let (sum, rows) = scan(add).reverse().at((&Tensor::from(0.0), &Tensor::from([1.0, 2.0, 4.0])));
    assert_eq!((sum.item::<f64>(), rows.to_vec::<f64>()), (7.0, vec![6.0, 4.0, 0.0]));
    let double = |x: &Tensor, (): &()| (x * 2.0, ());
    assert_eq!(scan(double).length(5).at((&Tensor::from(1.0), &())).0.item::<f64>(), 32.0);
    let (sum, rows) = scan(add).at((&Tensor::from(3.0), &waves(&[0], 0.0)));
    assert_eq!((sum.item::<f64>(), rows.dims()), (3.0, &[0][..]));
    assert_eq!(map(|x: &Tensor| x.sum(()), &waves(&[0, 3], 0.0)).dims(), [0]);
}

#[test]
fn a_scan_over_a_named_axis() {
    let (w, xs) = (waves(&[3, 3], 0.1), waves(&[6, 4, 3], 0.5));
    let loss = |w: &Tensor, xs: &Tensor| {
        let normed = |h: &Tensor, x: &Tensor| {
            let (h, y) = step(w)(h, x);
            (h - psum(&y, "batch") * 0.1, y)
        };
        both(scan(normed).at((&Tensor::from([0.0, 0.0, 0.0]), xs)))
    };
    let positional = |w: &Tensor, xs: &Tensor| {
        let (mut h, mut loss) = (waves(&[6, 3], 0.0) * 0.0, Tensor::from(0.0));
        for i in 0..4 {
            h = (h.dot(w) + xs.index(1, i)).tanh();
            let y = &h * &h;
            h = h - y.sum(0) * 0.1;
            loss = loss + y.sin().sum(());
        }
        loss + h.sum(())
    };
    let x = xs.unstack("batch", 0);
    let total = grad(loss).argnums::<(A0, A1)>().reduce_axes(["batch"]).at((&w, &x));
    let expected = grad(positional).argnums::<(A0, A1)>().at((&w, &xs));
    close(&total.0, &expected.0);
    close(&gather(&total.1, "batch"), &expected.1);
    let v = waves(&[3, 3], 0.9);
    close(&psum(&jvp(loss).at((&w, &x), &v).1, "batch"), &jvp(positional).at((&w, &xs), &v).1);
}

#[test]
fn steps_that_run_again() {
    let (w, xs) = (waves(&[3, 3], 0.1), waves(&[4, 3], 0.5));
    let light = |w: &Tensor, xs: &Tensor| {
        let step = |(h, w): &(Tensor, Tensor), x: &Tensor| {
            let (h, y) = step(w)(h, x);
            ((h, w.clone()), y)
        };
        let ((last, _), rows) = scan(step).checkpoint().at((&(Tensor::from([0.0, 0.0, 0.0]), w.clone()), xs));
        both((last, rows))
    };
    let loss = |w: &Tensor, xs: &Tensor| both(scanned(w, xs));
    close(&light(&w, &xs), &loss(&w, &xs));
    close(&grad(light).at((&w, &xs)), &grad(loss).at((&w, &xs)));
    check_grads(light, (&w, &xs), 2);
}

#[test]
fn a_map_is_a_vmap() {
    let (w, xs) = (waves(&[3, 3], 0.1), waves(&[4, 3], 0.5));
    let f = |x: &Tensor| (x.dot(&w).sin(), x.sum(()));
    let (each, sums) = map(f, &xs);
    let (expected, expected_sums) = vmap(f).at(&xs);
    close(&each, &expected);
    close(&sums, &expected_sums);
}

#[test]
fn loops_and_their_derivatives() {
    let power = |x: &Tensor| fori_loop(1, 5, |i, y: &Tensor| y * x + i as f64, &Tensor::from(1.0));
    let x = Tensor::from(1.5);
    let naive = |x: &Tensor| (((x + 1.0) * x + 2.0) * x + 3.0) * x + 4.0;
    close(&power(&x), &naive(&x));
    check_grads(power, &x, 3);
    let (same, none) = (Tensor::from(2.0), fori_loop(3, 3, |_, y: &Tensor| -y, &Tensor::from(2.0)));
    close(&same, &none);
    // Newton's iteration for the square root, as long as it moves.
    let root = |a: &Tensor| {
        let newton = |(x, _): &(Tensor, Tensor)| {
            let next = (x + a / x) * 0.5;
            (next.clone(), (next - x).abs())
        };
        while_loop(|(_, moved)| moved.gt(1e-9), newton, &(a.clone(), Tensor::from(1.0))).0
    };
    close(&root(&Tensor::from(2.0)), &Tensor::from(2f64.sqrt()));
    check_grads(root, &Tensor::from(2.0), 2);
}

#[test]
fn a_condition_that_varies() {
    // Each position doubles until it is over 10.
    let double = |x: &Tensor| while_loop(|y| y.le(10.0), |y| y * 2.0, x);
    let xs = Tensor::from([3.0, 20.0, 1.0, 10.0]);
    assert_eq!(vmap(double).at(&xs).to_vec::<f64>(), [12.0, 20.0, 16.0, 20.0]);
    assert_eq!(vmap(grad(double)).at(&xs).to_vec::<f64>(), [4.0, 1.0, 16.0, 2.0]);
    let branch = |x: &Tensor, w: &Tensor| {
        cond(&x.gt(5.0), |x: &Tensor, w: &Tensor| x * w, |_: &Tensor, w: &Tensor| w * w, (x, w))
    };
    let each = vmap(grad(branch).argnum::<1>()).in_axes((0, None)).at((&xs, &Tensor::from(7.0)));
    assert_eq!(each.to_vec::<f64>(), [14.0, 20.0, 14.0, 10.0]);
    let x = xs.unstack("batch", 0);
    let total = grad(branch).argnum::<1>().reduce_axes(["batch"]).at((&x, &Tensor::from(7.0)));
    assert_eq!(total.item::<f64>(), 58.0);
}

#[test]
fn a_condition_that_does_not_vary_goes_one_way() {
    let one = |go: bool| {
        let fails = |_: &Tensor| -> Tensor { panic!("not taken") };
        cond(&Tensor::from(go), Tensor::sin, fails, &Tensor::from(0.0))
    };
    assert_eq!(one(true).item::<f64>(), 0.0);
    check_grads(|x: &Tensor| cond(&x.sum(()).gt(0.0), Tensor::sin, Tensor::exp, x), &waves(&[3], 0.3), 2);
}

#[test]
fn prefixes_of_products() {
    let matrices = waves(&[7, 2, 2], 0.3);
    let product = |a: &Tensor, b: &Tensor| a.matmul(b);
    for rows in 0..=7 {
        let xs = matrices.slice(0, ..rows);
        let all = associative_scan(product).at(&xs);
        assert_eq!(all.dims(), [rows, 2, 2]);
        let mut expected = crate::ops::eye(DType::F64, 2);
        for i in 0..rows as isize {
            expected = expected.matmul(&xs.index(0, i));
            close(&all.index(0, i), &expected);
        }
    }
    check_grads(|x: &Tensor| associative_scan(product).at(x), &matrices, 2);
    let backwards = associative_scan(|a: &Tensor, b: &Tensor| a + b).reverse().at(&iota(DType::F64, 4));
    assert_eq!(backwards.to_vec::<f64>(), [6.0, 6.0, 5.0, 3.0]);
}

/// A linear recurrence h' = a h + b, as pairs.
#[test]
fn prefixes_of_trees() {
    let (a, b) = (waves(&[6], 0.2), waves(&[6], 0.9));
    type Pair = (Tensor, Tensor);
    let join = |x: &Pair, y: &Pair| (&x.0 * &y.0, &x.1 * &y.0 + &y.1);
    let (_, hs) = associative_scan(join).at(&(a.clone(), b.clone()));
    let one = |h: &Tensor, x: &Pair| {
        let h = h * &x.0 + &x.1;
        (h.clone(), h)
    };
    close(&hs, &scan(one).at((&Tensor::from(0.0), &(a, b))).1);
}

#[test]
#[should_panic(expected = "scan: the carry that a step takes and returns must have the same dtypes and dims")]
fn carries_keep_their_type() {
    scan(|c: &Tensor, x: &Tensor| (c + x, ())).at((&Tensor::from(0.0), &waves(&[3, 2], 0.0)));
}

#[test]
#[should_panic(expected = "scan: there are 3 rows at `.0` and 2 at `.1`")]
fn rows_agree() {
    let xs = (waves(&[3], 0.0), waves(&[2], 0.0));
    scan(|c: &Tensor, _: &(Tensor, Tensor)| (c.clone(), ())).at((&Tensor::from(0.0), &xs));
}

#[test]
#[should_panic(expected = "while_loop: the condition must be one truth value, bool[]")]
fn conditions_are_truth_values() {
    while_loop(|x| x.clone(), |x| x.clone(), &Tensor::from(1.0));
}

#[test]
#[should_panic(expected = "cond: the two results must have the same dtypes and dims")]
fn branches_agree_where_both_are_taken() {
    let f = |x: &Tensor| cond(&x.gt(0.0), |x: &Tensor| x.clone(), |_: &Tensor| waves(&[2], 0.0), x);
    vmap(f).at(&waves(&[3], 0.0));
}

#[test]
#[should_panic(expected = "scan: length is 5, and there are 3 rows")]
fn a_length_that_the_rows_do_not_have() {
    let step = |carry: &Tensor, x: &Tensor| (carry + x, ());
    scan(step).length(5).at((&Tensor::from(0.0), &Tensor::from([1.0, 2.0, 3.0])));
}
