use super::*;
use crate::dtype::DType;

fn close(a: &Array, b: &[f64]) {
    assert_eq!(a.len(), b.len());
    a.to_vec::<f64>().iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-14, "{a} and {b}"));
}

fn rows() -> Array {
    Array::from_vec((0..3 * 11).map(|i| (1.3 * i as f64).sin() * 4.0).collect(), [3, 11])
}

#[test]
fn all_agree_with_their_formulas() {
    let (x, labels) = (rows(), Array::from([10i64, 0, 4]));
    let data = x.to_vec::<f64>();
    let sums: Vec<f64> = data.chunks(11).map(|row| row.iter().map(|x| x.exp()).sum()).collect();
    let p: Vec<f64> = data.iter().enumerate().map(|(i, x)| x.exp() / sums[i / 11]).collect();
    let logs: Vec<f64> = sums.iter().map(|sum| sum.ln()).collect();
    close(&softmax(&x), &p);
    close(&log_softmax(&x), &p.iter().map(|p| p.ln()).collect::<Vec<_>>());
    close(&logsumexp(&x), &logs);
    let picked = [data[10], data[11], data[26]];
    close(&cross_entropy(&x, &labels), &[0, 1, 2].map(|i| logs[i] - picked[i]));
    let mut residual = p.clone();
    [10, 11, 26].iter().for_each(|&i| residual[i] -= 1.0);
    let scaled: Vec<f64> = residual.iter().enumerate().map(|(i, r)| r * (i / 11) as f64).collect();
    close(&cross_entropy_ct(&x, &labels, &Array::from([0.0, 1.0, 2.0])), &scaled);
}

#[test]
fn causal_rows_see_what_came_before() {
    let p = causal_softmax(&rows());
    for i in 0..3 {
        let seen = softmax(&rows().index(0, i).slice(0, 0, i + 1, 1)).to_vec::<f64>();
        assert_eq!(p.index(0, i).to_vec::<f64>(), [seen, vec![0.0; 10 - i]].concat());
    }
}

#[test]
fn short_and_long_rows_agree_with_their_formulas() {
    for n in [1, 2, 8, 15, 16, 17, 40] {
        let x = Array::from_vec((0..5 * n).map(|i| (1.7 * i as f64).sin() * 3.0).collect(), [5, n]);
        let (data, p) = (x.to_vec::<f64>(), softmax(&x).to_vec::<f64>());
        let surprise = cross_entropy(&x, &Array::full(DType::I64, (n - 1) as f64, [5])).to_vec::<f64>();
        for i in 0..5 {
            let sum: f64 = data[i * n..][..n].iter().map(|x| x.exp()).sum();
            (0..n).for_each(|j| assert!((data[i * n + j].exp() / sum - p[i * n + j]).abs() < 1e-14));
            assert!((sum.ln() - data[(i + 1) * n - 1] - surprise[i]).abs() < 1e-14, "{n}");
        }
    }
}

#[test]
#[should_panic(expected = "label 3 of 3 classes")]
fn a_label_is_one_of_the_classes() {
    cross_entropy(&Array::zeros(DType::F32, [2, 3]), &Array::from([0i64, 3]));
}

#[test]
fn large_and_infinite_elements() {
    let x = Array::from([[1e4, 1e4], [f64::NEG_INFINITY, 3.0]]);
    close(&softmax(&x), &[0.5, 0.5, 0.0, 1.0]);
    close(&logsumexp(&x), &[1e4 + 2f64.ln(), 3.0]);
    let none = Array::full(DType::F64, f64::NEG_INFINITY, [1, 2]);
    assert!(softmax(&none).to_vec::<f64>().iter().all(|p| p.is_nan()));
    assert_eq!(logsumexp(&none).to_vec::<f64>(), [f64::NEG_INFINITY]);
    assert_eq!(logsumexp(&Array::from([f64::INFINITY, 0.0])).item::<f64>(), f64::INFINITY);
    assert!(logsumexp(&Array::from([f64::NAN, 0.0])).item::<f64>().is_nan());
}

#[test]
fn no_classes_and_no_rows() {
    assert_eq!(softmax(&Array::zeros(DType::F32, [2, 0])).dims(), [2, 0]);
    assert_eq!(logsumexp(&Array::zeros(DType::F32, [2, 0])).to_vec::<f32>(), [f32::NEG_INFINITY; 2]);
    assert_eq!(cross_entropy(&Array::zeros(DType::F32, [0, 3]), &Array::from([0i64; 0])).dims(), [0]);
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    let all = softmax(&rows());
    for i in 0..3 {
        assert_eq!(softmax(&rows().index(0, i)).to_vec::<f64>(), all.index(0, i).to_vec::<f64>());
    }
}
