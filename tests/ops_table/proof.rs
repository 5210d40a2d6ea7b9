//! No op lacks a derivative in silence: each has one that was checked to second order, or is known to be constant piece
//! by piece, or has no floats to differentiate by or to give, or says by its name that there is none and what to do.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axisgrad::{Tensor, grad};

use super::measure::{Cell, FLAT, Measured, NO_FLOAT_RESULT, NO_FLOATS, text};
use super::row::Row;

/// The ops whose values jump or stay, so that their derivative is zero wherever there is one.
const PIECEWISE_CONSTANT: &[&str] = &["sign", "floor", "ceil", "trunc", "round"];

/// What is wrong with an op.
pub fn complaints(row: &Row, measured: &Measured) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            complaints.push(format!("{}: {what}", row.name));
        }
    };
    match &measured.vjp {
        Ok(()) => {
            must(measured.jvp.is_ok(), said("pushing a tangent forward", &measured.jvp));
            must(measured.order_2.is_ok(), said("the second derivative", &measured.order_2));
        }
        Err(why) => {
            must(is_reason(row, why), said("it has no derivative, and does not say so", &measured.vjp))
        }
    }
    let flat = measured.vjp.as_ref().is_err_and(|why| why == FLAT);
    must(
        flat == PIECEWISE_CONSTANT.contains(&row.name),
        "the list of ops that are constant piece by piece says otherwise".to_owned(),
    );
    must(measured.lanes.is_ok() || row.own_lanes.is_some(), said("lanes", &measured.lanes));
    must(
        measured.complex.is_ok() || measured.vjp.is_err() || row.refuses_complex(),
        said("it takes complex numbers, and the derivative is wrong", &measured.complex),
    );
    complaints
}

fn said(what: &str, cell: &Cell) -> String {
    format!("{what}: {}", cell.as_ref().err().map_or("yes", String::as_str))
}

/// Whether this is a reason to have no derivative.
fn is_reason(row: &Row, why: &str) -> bool {
    why == FLAT || why == NO_FLOATS || why.starts_with(NO_FLOAT_RESULT) || row.says_that_it_has_none()
}

impl Row {
    /// Whether to differentiate it fails with its name and a repair.
    fn says_that_it_has_none(&self) -> bool {
        let slope = || grad(|args: &Vec<Tensor>| self.at(args).sum(()).real()).at(&self.floats());
        let said = catch_unwind(AssertUnwindSafe(slope)).map_err(|panic| text(&*panic));
        said.is_err_and(|text| text.starts_with(&format!("{}:", self.name)) && text.contains("help:"))
    }

    /// Whether it refuses complex arguments, before there is anything to differentiate.
    fn refuses_complex(&self) -> bool {
        let call = || self.at(&self.complex_floats()).to_array();
        catch_unwind(AssertUnwindSafe(call)).is_err()
    }
}
