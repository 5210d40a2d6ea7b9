//! axisgrad
