//! Random differentiable programs: over named axes they compute what they compute with every axis written out, under
//! any placement; values, gradients reduced over every set of axes, tangents and second derivatives.
//!
//! `AXISGRAD_PROGRAMS` says how many (500), `AXISGRAD_FIRST` the seed of the first (0).

use axisgrad_tests::random_programs::check::{Verdict, check};
use axisgrad_tests::random_programs::generate::program;
use axisgrad_tests::random_programs::shrink::shrink;
use axisgrad_tests::random_programs::syntax::Program;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    if text.is_empty() { default } else { text.parse().expect("a number") }
}

#[test]
fn random_programs_obey_the_law() {
    let (first, count) = (number("AXISGRAD_FIRST", 0), number("AXISGRAD_PROGRAMS", 500));
    let (mut seed, mut passed, mut runs) = (first, 0, 0);
    while passed < count {
        let program = program(seed);
        match check(&program, seed) {
            Verdict::Passed(n) => {
                passed += 1;
                runs += n;
            }
            // Another one takes its place.
            Verdict::Infinite => {}
            Verdict::Failed(why) => report(&program, seed, &why),
        }
        seed += 1;
    }
    println!("{passed} generated programs, {runs} runs of generated programs under placements");
}

/// Shrinks the program, and prints a test of it.
fn report(program: &Program, seed: u64, why: &str) -> ! {
    println!("program {seed}: {why}; looking for a smaller one");
    let fails = |program: &Program| matches!(check(program, seed), Verdict::Failed(_));
    let smallest = shrink(program, &fails);
    let text = format!("{smallest:?}").replace('[', "vec![");
    let verdict = check(&smallest, seed);
    panic!(
        "program {seed}: {why}\n\n#[test]\nfn program_{seed}() {{\n    \
         use axisgrad_tests::random_programs::syntax::{{Arg, Block, Program, Stmt::*}};\n    \
         let program = {text};\n    assert_eq!(check(&program, {seed}), Verdict::Passed(3));\n}}\n\n\
         of which the check says: {verdict:?}"
    );
}
