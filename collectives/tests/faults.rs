//! What goes wrong on one worker is one error that names workers, operations and lines, and never a hang.

use std::time::Duration;

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
