//! How a process learns that it is one of several ranks.

/// What the launcher that started this process says in its environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launcher {
    /// Who started it, for error messages.
    pub name: &'static str,
    /// Ranks in all.
    pub ranks: usize,
    /// Ranks on this machine, where that is known.
    pub local_ranks: Option<usize>,
}

/// Variables of one launcher: those that give the number of ranks, one that only a rank has, and those that
/// give the number of ranks on this machine.
struct Dialect {
    name: &'static str,
    ranks: &'static [&'static str],
    rank: &'static [&'static str],
    local_ranks: &'static [&'static str],
}

const DIALECTS: [Dialect; 3] = [
    Dialect {
        name: "Open MPI's mpirun",
        ranks: &["OMPI_COMM_WORLD_SIZE"],
        rank: &["OMPI_COMM_WORLD_RANK", "PMIX_RANK"],
        local_ranks: &["OMPI_COMM_WORLD_LOCAL_SIZE"],
    },
    Dialect {
        name: "an MPICH mpiexec (PMI)",
        ranks: &["PMI_SIZE"],
        rank: &["PMI_RANK"],
        local_ranks: &["MPI_LOCALNRANKS"],
    },
    // A batch script has SLURM_NTASKS too; only a task of `srun` has both of the others.
    Dialect {
        name: "Slurm's srun",
        ranks: &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
        rank: &["SLURM_PROCID"],
        local_ranks: &["SLURM_STEP_TASKS_PER_NODE", "SLURM_NTASKS_PER_NODE"],
    },
];

/// The launcher that speaks through these variables, if any does.
///
/// ```
/// use axisgrad_collectives::launch::env::detect;
/// let vars = |name: &str| match name {
///     "PMI_SIZE" => Some("4".to_string()),
///     "PMI_RANK" => Some("1".to_string()),
///     _ => None,
/// };
/// assert_eq!(detect(vars).unwrap().ranks, 4);
/// ```
pub fn detect(lookup: impl Fn(&str) -> Option<String>) -> Option<Launcher> {
    // Slurm writes `4(x2)` for four on each of two machines.
    let number = |name: &&str| {
        let text = lookup(name)?;
        text.split(['(', ',']).next()?.trim().parse::<usize>().ok().filter(|&n| n > 0)
    };
    let in_step =
        |dialect: &&Dialect| !dialect.name.starts_with("Slurm") || lookup("SLURM_STEP_ID").is_some();
    DIALECTS.iter().filter(in_step).find_map(|dialect| {
        dialect.rank.iter().find_map(|name| lookup(name))?;
        let ranks = dialect.ranks.iter().find_map(number)?;
        Some(Launcher { name: dialect.name, ranks, local_ranks: dialect.local_ranks.iter().find_map(number) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(vars: &[(&str, &str)]) -> Option<(usize, Option<usize>)> {
        let lookup =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        detect(lookup).map(|launcher| (launcher.ranks, launcher.local_ranks))
    }

    #[test]
    fn the_usual_launchers_are_recognised() {
        let ompi = [
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_COMM_WORLD_RANK", "0"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        assert_eq!(detected(&ompi), Some((4, Some(2))));
        assert_eq!(
            detected(&[("PMI_SIZE", "3"), ("PMI_RANK", "2"), ("MPI_LOCALNRANKS", "3")]),
            Some((3, Some(3)))
        );
        let srun = [
            ("SLURM_STEP_ID", "0"),
            ("SLURM_PROCID", "1"),
            ("SLURM_NTASKS", "8"),
            ("SLURM_STEP_TASKS_PER_NODE", "4(x2)"),
        ];
        assert_eq!(detected(&srun), Some((8, Some(4))));
    }

    #[test]
    fn a_batch_script_or_a_bare_shell_is_no_rank() {
        assert_eq!(detected(&[]), None);
        assert_eq!(detected(&[("SLURM_NTASKS", "8")]), None);
        assert_eq!(detected(&[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]), None);
        assert_eq!(detected(&[("PMI_SIZE", "x"), ("PMI_RANK", "0")]), None);
    }
}
