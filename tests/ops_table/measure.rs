//! What an op can do, found by doing it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axisgrad::check::{check_grads, check_lanes, fuses_reduction, same_bits};
use axisgrad::ops::{complex, stack};
use axisgrad::{DType, Tensor, grad, jvp};

use super::row::{Row, waves};

/// A cell: yes, or why not.
pub type Cell = Result<(), String>;

/// Why an op has no derivative: nothing goes in that could move.
pub const NO_FLOATS: &str = "it takes no floats";
/// Nothing comes out that could.
pub const NO_FLOAT_RESULT: &str = "the result is no float";
/// What comes out does not.
pub const FLAT: &str = "its value is constant piece by piece: the derivative is zero";

/// The cells of a row.
pub struct Measured {
    /// The first derivative agrees with differences.
    pub vjp: Cell,
    /// Pushing a tangent forward agrees with pulling a cotangent back.
    pub jvp: Cell,
    /// All lanes at once give the bits of one at a time; so do operands that lie in memory in another order, and no
    /// lanes at all are no mistake.
    pub lanes: Cell,
    /// The derivative at complex arguments agrees with differences.
    pub complex: Cell,
    /// The second derivative agrees with differences.
    pub order_2: Cell,
    /// The sum over examples of the cotangent of an operand is taken while it is computed.
    pub fuses: Cell,
}

impl Row {
    /// Tries everything.
    pub fn measure(&self) -> Measured {
        let floats = self.floats();
        let inexact = if floats.is_empty() { Ok(()) } else { self.result_is_inexact() };
        let moves = inexact.and_then(|()| self.moves());
        let derivative = |check: &dyn Fn()| moves.clone().and_then(|()| tried(check));
        Measured {
            vjp: derivative(&|| self.check_grads(&floats, 1)),
            jvp: derivative(&|| self.check_jvp(&floats)),
            order_2: derivative(&|| self.check_grads(&floats, 2)),
            lanes: self.lanes(),
            complex: derivative(&|| self.check_grads(&self.complex_floats(), 1)),
            fuses: derivative(&|| assert!(self.fuses(), "its cotangents are no larger than its operands")),
        }
    }

    fn lanes(&self) -> Cell {
        let why = |found: String| self.own_lanes.map_or(found, str::to_owned);
        tried(&|| self.check_lanes()).and_then(|()| tried(&|| self.check_views())).map_err(why)
    }

    /// The arguments that are floats.
    pub fn floats(&self) -> Vec<Tensor> {
        self.args.iter().filter(|x| x.dtype().is_inexact()).cloned().collect()
    }

    /// Complex numbers in their place.
    pub fn complex_floats(&self) -> Vec<Tensor> {
        self.floats().iter().map(turned).collect()
    }

    /// The arguments, with others in the place of the floats.
    fn with(&self, floats: &[Tensor]) -> Vec<Tensor> {
        let mut floats = floats.iter();
        let own = |x: &Tensor| {
            if x.dtype().is_inexact() { floats.next().expect("one for each").clone() } else { x.clone() }
        };
        self.args.iter().map(own).collect()
    }

    /// The result, with those in the place of the floats.
    pub fn at(&self, floats: &[Tensor]) -> Tensor {
        (self.call)(&self.with(floats))
    }

    /// Whether a small step of the arguments is a small one of the result, as far as its derivative says.
    fn moves(&self) -> Cell {
        let floats = self.floats();
        if floats.is_empty() {
            return Err(NO_FLOATS.into());
        }
        let weighted = |floats: &Vec<Tensor>| {
            let value = self.at(floats);
            (&value * waves(value.dims(), 6)).sum(()).real()
        };
        let slopes = || grad(weighted).at(&floats).iter().map(|x| x.abs().sum(()).item::<f64>()).sum::<f64>();
        match catch_unwind(AssertUnwindSafe(slopes)) {
            Ok(0.0) => Err(FLAT.into()),
            // What fails is reported by the check itself.
            _ => Ok(()),
        }
    }

    fn result_is_inexact(&self) -> Cell {
        let dtype = (self.call)(&self.args).dtype();
        if dtype.is_inexact() { Ok(()) } else { Err(format!("{NO_FLOAT_RESULT} but {}", kind(dtype))) }
    }

    fn check_grads(&self, floats: &Vec<Tensor>, order: usize) {
        check_grads(|floats: &Vec<Tensor>| self.at(floats), floats, order);
    }

    /// ⟨u, J·v⟩ = ⟨Jᵀ·u, v⟩
    fn check_jvp(&self, floats: &Vec<Tensor>) {
        let f = |floats: &Vec<Tensor>| self.at(floats);
        let tangents: Vec<Tensor> = floats.iter().map(|x| waves(x.dims(), 5).cast(x.dtype())).collect();
        let (value, moved) = jvp(f).at(floats, &tangents);
        let weights = waves(value.dims(), 6);
        let forward = (moved * &weights).sum(()).real().item::<f64>();
        let slopes = grad(|floats: &Vec<Tensor>| (f(floats) * &weights).sum(()).real()).at(floats);
        let pairs = slopes.iter().zip(&tangents);
        let backward: f64 = pairs.map(|(a, b)| (a * b).sum(()).real().item::<f64>()).sum();
        let near = (forward - backward).abs() <= 1e-9 * (1.0 + backward.abs());
        assert!(near, "forward it is {forward}, and backward {backward}");
    }

    /// Three lanes that differ where they are floats.
    fn check_lanes(&self) {
        let lanes = |x: &Tensor| {
            let other = |by: f64| if x.dtype().is_inexact() { x * by } else { x.clone() };
            stack(&[x, &other(0.9), &other(1.05)], 0)
        };
        let args: Vec<Tensor> = self.args.iter().map(lanes).collect();
        check_lanes(|args: &Vec<Tensor>| (self.call)(args), &args);
        let none: Vec<Tensor> = args.iter().map(|x| x.slice(0, ..0).unstack("lane", 0)).collect();
        assert!((self.call)(&none).local().is_empty(), "without lanes it has values");
    }

    /// Operands in row-major order, in reverse, and transposed in memory.
    fn check_views(&self) {
        let views: [fn(&Tensor) -> Tensor; 2] = [backwards, transposed];
        let plain = (self.call)(&self.args).to_array();
        for view in views {
            let args: Vec<Tensor> = self.args.iter().map(view).collect();
            assert!(
                same_bits(&(self.call)(&args).to_array(), &plain),
                "it depends on the order of its operands in memory"
            );
        }
    }

    /// Whether it sums the cotangent of some operand that all examples share, while the others differ.
    fn fuses(&self) -> bool {
        (0..self.args.len()).filter(|&i| self.args[i].dtype().is_inexact()).any(|shared| {
            let each = |(i, x): (usize, &Tensor)| (i != shared).then(|| stack(&[x, x], 0));
            let others: Vec<Tensor> = self.args.iter().enumerate().filter_map(each).collect();
            let f = |shared_arg: &Tensor, others: &Vec<Tensor>| {
                let mut args = others.clone();
                args.insert(shared, shared_arg.clone());
                (self.call)(&args)
            };
            fuses_reduction(f, (&self.args[shared], &others))
        })
    }
}

/// The same values with a negative stride.
fn backwards(x: &Tensor) -> Tensor {
    if x.ndim() == 0 { x.clone() } else { copied(&x.flip(-1)).flip(-1) }
}

/// The same values with the strides of the transpose.
fn transposed(x: &Tensor) -> Tensor {
    let order: Vec<isize> = (0..x.ndim() as isize).rev().collect();
    copied(&x.permute(&order[..])).permute(&order[..])
}

fn copied(x: &Tensor) -> Tensor {
    Tensor::from(x.to_array().contiguous())
}

/// The number with an imaginary part.
fn turned(x: &Tensor) -> Tensor {
    if x.dtype().is_complex() { x.clone() } else { complex(x, waves(x.dims(), 9) * 0.4) }
}

fn kind(dtype: DType) -> &'static str {
    if dtype.is_bool() { "bool" } else { "integers" }
}

/// What a check says: the rule that an op gives for refusing, or the difference that was found.
fn tried(check: &dyn Fn()) -> Cell {
    catch_unwind(AssertUnwindSafe(check)).map_err(|panic| rule(&*panic))
}

/// The first line of a message, without the name of the op and the dtypes of the day.
fn rule(panic: &(dyn Any + Send)) -> String {
    let text = text(panic);
    let line = text.lines().next().unwrap_or_default();
    let rule = line.split_once(": ").filter(|(op, _)| !op.contains(' ')).map_or(line, |(_, rule)| rule);
    rule.split(", and ").next().unwrap_or(rule).to_owned()
}

/// The whole message.
pub fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or("it panics".to_owned())
}
