//! What goes wrong on one worker is one error that names workers, operations and lines, and never a hang.

use std::time::Duration;

use axisgrad_collectives::transport::simulation::Simulation;
use axisgrad_collectives::{Call, Error, ErrorKind, Mesh, MeshBuilder, Reduction, Worker};

type Outcome = Result<(), Error>;

fn four() -> MeshBuilder {
    Mesh::builder().axis("batch", 4).timeout(Duration::from_secs(20))
}

fn sum(w: &Worker, data: &[f32]) -> Outcome {
    let mine = w.pool().copy_of(data);
    w.group(&["batch"])?.all_reduce::<f32>(&Call::here("psum"), Reduction::Sum, mine).map(drop)
}

/// The errors that a program ends with on threads, on ranks, and on threads under ranks.
fn failures(builder: MeshBuilder, program: impl Fn(&Worker) -> Outcome + Sync) -> [Error; 3] {
    let on_ranks = |ranks| builder.clone().simulated_ranks(ranks).build().unwrap().run(&program).unwrap_err();
    [builder.clone().build().unwrap().run(&program).unwrap_err(), on_ranks(2), on_ranks(4)]
}

#[test]
fn another_collective() {
    for error in failures(four(), |w| match w.index() {
        3 => w
            .group(&["batch"])?
            .all_gather::<f32>(&Call::here("all_gather"), w.pool().copy_of(&[1f32]))
            .map(drop),
        _ => sum(w, &[1.0]),
    }) {
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        let text = error.to_string();
        assert!(text.starts_with("collective mismatch in group `batch`\n   worker "), "{text}");
        assert!(text.contains("; worker 3 calls all_gather f32[..] (faults.rs:"), "{text}");
        assert!(
            text.ends_with("every worker of a group must make the same calls in the same order"),
            "{text}"
        );
    }
}

#[test]
fn another_type_and_other_dims() {
    for error in failures(four(), |w| {
        let (group, call) = (w.group(&["batch"])?, Call::here("psum"));
        match w.index() {
            1 => group.all_reduce::<i32>(&call, Reduction::Sum, w.pool().copy_of(&[1i32])).map(drop),
            _ => group.all_reduce::<f32>(&call, Reduction::Sum, w.pool().copy_of(&[1f32])).map(drop),
        }
    }) {
        assert!(error.to_string().contains("worker 0 calls psum f32[1]"), "{error}");
        assert!(error.to_string().contains("worker 1 calls psum i32[1]"), "{error}");
    }
    for error in failures(four(), |w| sum(w, &vec![0.0; 3 + w.index() / 3])) {
        assert!(error.to_string().contains("worker 3 calls psum f32[4]"), "{error}");
    }
}

#[test]
fn another_order() {
    for error in failures(four(), |w| {
        let group = w.group(&["batch"])?;
        let reduce =
            |reduction| group.all_reduce::<f32>(&Call::here("p"), reduction, w.pool().copy_of(&[1f32]));
        let order =
            if w.index() == 2 { [Reduction::Max, Reduction::Sum] } else { [Reduction::Sum, Reduction::Max] };
        order.map(reduce).into_iter().try_for_each(|result| result.map(drop))
    }) {
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert!(error.to_string().contains("with max"), "{error}");
    }
}

#[test]
fn an_early_return() {
    for error in failures(four(), |w| {
        sum(w, &[1.0])?;
        if w.index() == 2 { Ok(()) } else { sum(w, &[1.0, 2.0]) }
    }) {
        assert_eq!(error.kind(), ErrorKind::Peer);
        let text = error.to_string();
        assert!(text.starts_with("worker 2 has finished while group `batch` waits for it"), "{text}");
        assert!(text.contains("calls psum f32[2] (faults.rs:"), "{text}");
        assert!(text.contains("worker 2 has finished, after psum f32[1] (faults.rs:"), "{text}");
    }
}

#[test]
fn a_panic() {
    for error in failures(four(), |w| {
        assert!(w.index() != 1, "one is one too many");
        sum(w, &[1.0])
    }) {
        assert_eq!(error.kind(), ErrorKind::Panic);
        let line = error.to_string();
        assert!(line.starts_with("worker 1 panicked at ") && line.contains("faults.rs:"), "{line}");
        assert!(line.ends_with("one is one too many"), "{line}");
    }
}

#[test]
fn an_error_of_the_program() {
    let mesh = four().build().unwrap();
    let error = mesh.run(|w| -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if w.index() == 3 {
            return Err("no such file: digits.csv".into());
        }
        Ok(sum(w, &[1.0])?)
    });
    let error = error.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::User, "worker 3 failed: no such file: digits.csv".into())
    );
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no such file: digits.csv");
}

#[test]
fn past_the_deadline() {
    for error in failures(four().timeout(Duration::from_millis(300)), |w| {
        sum(w, &[1.0])?;
        if w.index() == 2 {
            std::thread::sleep(Duration::from_millis(700));
        }
        w.group(&["batch"])?.barrier(&Call::here("barrier"))
    }) {
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let text = error.to_string();
        assert!(text.starts_with("timed out after 0.3 s in group `batch`\n   worker "), "{text}");
        assert!(text.contains("worker 2 is missing; its last call was psum f32[1] (faults.rs:"), "{text}");
        assert!(text.ends_with("raise --timeout"), "{text}");
    }
}

#[test]
fn members_that_wait_for_each_other_in_two_groups() {
    let builder = Mesh::builder().axis("batch", 2).axis("model", 2).timeout(Duration::from_millis(300));
    for error in failures(builder, |w| {
        let axes = if w.index() % 3 == 0 { ["batch", "model"] } else { ["model", "batch"] };
        axes.iter().try_for_each(|axis| w.group(&[axis])?.barrier(&Call::here("barrier")))
    }) {
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains("is missing; its last call was barrier (faults.rs:"), "{error}");
    }
}

/// Of sixteen ranks each meets four others: what a failure tells of them is what came in their messages.
#[test]
fn one_of_many_ranks_hears_from_few() {
    let mesh = Mesh::builder().axis("batch", 16).simulated_ranks(16).shared_memory(false).build().unwrap();
    let error = mesh.run(|w| -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        sum(w, &[1.0])?;
        if w.index() == 5 { Err("enough".into()) } else { Ok(()) }
    });
    let text = format!("{:?}", error.unwrap_err());
    let heard: Vec<usize> = (0..16).filter(|worker| text.contains(&format!("worker {worker}: "))).collect();
    assert_eq!(heard, [1, 4, 5, 7, 13], "{text}");
}

/// The errors of ranks that share no memory, where each of them in turn is `other`.
fn far_failures(
    ranks: usize,
    timeout: Duration,
    program: impl Fn(&Worker, usize) -> Outcome + Sync,
) -> Vec<Error> {
    let mesh =
        Mesh::builder().axis("batch", ranks).simulated_ranks(ranks).shared_memory(false).timeout(timeout);
    let mesh = mesh.build().unwrap();
    (0..ranks).map(|other| mesh.run(|w| program(w, other)).unwrap_err()).collect()
}

/// Ranks, and elements of operands that go by recursive doubling, that are cut for all, and that are halved.
const FAR: [(usize, usize); 3] = [(7, 1), (7, 100_000), (17, 30_000)];

#[test]
fn another_call_on_one_of_many_ranks() {
    type Other = fn(&Worker, usize) -> Outcome;
    let others: [(&str, Other); 5] = [
        ("psum f32[2]", |w, _| sum(w, &[1.0; 2])),
        ("psum f32[99999]", |w, _| sum(w, &[1.0; 99_999])),
        ("psum i32[", |w, len| {
            let (group, mine) = (w.group(&["batch"])?, w.pool().copy_of(&vec![1i32; len]));
            group.all_reduce::<i32>(&Call::here("psum"), Reduction::Sum, mine).map(drop)
        }),
        ("all_gather f32[..]", |w, len| {
            let (group, mine) = (w.group(&["batch"])?, w.pool().copy_of(&vec![1f32; len]));
            group.all_gather::<f32>(&Call::here("all_gather"), mine).map(drop)
        }),
        ("barrier", |w, _| w.group(&["batch"])?.barrier(&Call::here("barrier"))),
    ];
    for ((ranks, len), (shown, call)) in FAR.into_iter().flat_map(|far| others.map(|other| (far, other))) {
        let errors = far_failures(ranks, Duration::from_secs(20), |w, other| match w.index() {
            this if this == other => call(w, len),
            _ => sum(w, &vec![1.0; len]),
        });
        for (other, error) in errors.iter().enumerate() {
            assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
            let text = error.to_string();
            assert!(text.contains(&format!("worker {other} calls {shown}")), "{text}");
            assert!(text.contains(&format!(" calls psum f32[{len}] (faults.rs:")), "{text}");
        }
    }
}

#[test]
fn two_kinds_of_calls_on_many_ranks() {
    for (ranks, len) in [FAR[1], FAR[2]] {
        let errors = far_failures(ranks, Duration::from_secs(20), |w, other| {
            sum(w, &vec![1.0; if (w.index() + other) % 2 == 0 { FAR[0].1 } else { len }])
        });
        for error in errors {
            let text = error.to_string();
            let other = format!("calls psum f32[{len}] ");
            assert!(text.contains("calls psum f32[1] ") && text.contains(&other), "{text}");
        }
    }
}

#[test]
fn one_of_many_ranks_returns_early() {
    for (ranks, len) in FAR {
        let errors = far_failures(ranks, Duration::from_secs(20), |w, other| {
            sum(w, &vec![1.0; len])?;
            if w.index() == other { Ok(()) } else { sum(w, &vec![2.0; len + 1]) }
        });
        for (other, error) in errors.iter().enumerate() {
            assert_eq!(error.kind(), ErrorKind::Peer, "{error}");
            let begins = format!("worker {other} has finished while group `batch` waits for it\n");
            assert!(error.to_string().starts_with(&begins), "{error}");
        }
    }
}

#[test]
fn one_of_many_ranks_is_late() {
    let errors = far_failures(7, Duration::from_millis(250), |w, other| {
        sum(w, &[1.0])?;
        if w.index() == other {
            std::thread::sleep(Duration::from_millis(500));
        }
        sum(w, &[2.0, 3.0])
    });
    for (other, error) in errors.iter().enumerate() {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        let missing = format!("worker {other} is missing; its last call was psum f32[1] (faults.rs:");
        assert!(error.to_string().contains(&missing), "{error}");
        assert_eq!(error.to_string().matches("is missing").count(), 1, "{error}");
    }
}

/// A rank that is killed in the middle of a call is named.
#[test]
fn one_of_many_ranks_is_killed() {
    for seed in 0..14 {
        let victim = seed as usize % 7;
        let simulation = Simulation::new(seed).crash(victim, seed * 11);
        let mesh = Mesh::builder().axis("batch", 7).timeout(Duration::from_secs(1));
        let mesh = mesh.simulation(&simulation, 7).build().unwrap();
        let error = mesh.run(|w| (0..4).try_for_each(|_| sum(w, &[1.0]))).unwrap_err();
        let named = [format!("rank {victim} has crashed"), format!("worker {victim} is missing")];
        assert!(named.iter().any(|named| error.to_string().contains(named)), "seed {seed}: {error}");
    }
}

#[test]
fn calls_that_make_no_sense() {
    for error in failures(four(), |w| {
        let flags = w.pool().copy_of(&[true]);
        w.group(&["batch"])?.all_reduce::<bool>(&Call::here("psum"), Reduction::Sum, flags).map(drop)
    }) {
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains("psum: sum has no meaning for bool\n   at "), "{error}");
    }
    for error in failures(four(), |w| {
        let group = w.group(&["batch"])?;
        group.permute::<f32>(&Call::here("ppermute"), w.pool().copy_of(&[1f32]), &[(0, 1), (0, 2)]).map(drop)
    }) {
        assert!(
            error.to_string().contains("sources and destinations must be unique, got [(0, 1), (0, 2)]"),
            "{error}"
        );
    }
    for error in failures(four(), |w| w.group(&["modle"]).map(drop)) {
        assert!(error.to_string().contains("there is no axis `modle`; this mesh is batch=4"), "{error}");
    }
}

#[test]
fn a_mesh_can_be_used_again_after_a_failure() {
    let mesh = four().build().unwrap();
    assert!(mesh.run(|w| if w.index() == 0 { panic!("first") } else { sum(w, &[1.0]) }).is_err());
    mesh.run(|w| sum(w, &[1.0])).unwrap();
}
