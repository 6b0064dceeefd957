//! Which shard of the images a machine takes, as a flag says it.
//!
//! In: `I/N`, or the name of what starts the machines. Out: the shard. Promises: the environment is
//! looked at only if it is named, and what cannot be a whole set of shards is an error.

use std::str::FromStr;

use super::PipelineError;
use crate::record::Shard;

/// Which shard, or who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardChoice {
    /// This one.
    Given(Shard),
    /// The number of this task in Slurm's job array.
    Slurm,
    /// The number of this pod in an Indexed Job of Kubernetes.
    Kubernetes {
        /// The job's completions, which no variable says.
        count: u32,
    },
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            // Who counts from 1 is told the numbers of the same machines.
            let count = text.split_once('/').and_then(|(_, count)| count.parse::<u32>().ok());
            let numbers = match count {
                Some(count @ 1..) => format!("from 0/{count} to {}/{count}", count - 1),
                _ => "0/2 and 1/2 for two machines".to_owned(),
            };
            format!("{text:?} is no shard: take I/N ({numbers}), slurm, or kubernetes/N")
        };
        match text.strip_prefix("kubernetes/") {
            _ if text == "slurm" => Ok(Self::Slurm),
            Some(count) => {
                let count = count.parse().ok().filter(|count| *count > 0);
                Ok(Self::Kubernetes { count: count.ok_or_else(unknown)? })
            }
            None => text.parse().map(Self::Given).map_err(|_| unknown()),
        }
    }
}

impl ShardChoice {
    /// The shard, as the environment says if it is left to it.
    ///
    /// # Errors
    /// [`PipelineError::Variable`] if a variable is not there, or not what its scheduler sets.
    pub fn shard(self) -> Result<Shard, PipelineError> {
        self.shard_in(&|name| std::env::var(name).ok())
    }

    /// The same in an environment that gives the value of a variable.
    fn shard_in(self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Shard, PipelineError> {
        let number = |name: &'static str, of: &str| -> Result<u32, PipelineError> {
            let invalid = |problem| PipelineError::Variable { name, problem };
            let text =
                variable(name).ok_or_else(|| invalid(format!("is not set: this is no {of}")))?;
            text.parse().map_err(|_| invalid(format!("{text:?} is no number of a {of}")))
        };
        match self {
            Self::Given(shard) => Ok(shard),
            Self::Slurm => {
                let of_array = |name| number(name, "task of a Slurm job array (sbatch --array)");
                let id = of_array("SLURM_ARRAY_TASK_ID")?;
                let least = of_array("SLURM_ARRAY_TASK_MIN")?;
                let step = of_array("SLURM_ARRAY_TASK_STEP")?;
                let count = of_array("SLURM_ARRAY_TASK_COUNT")?;
                let most = of_array("SLURM_ARRAY_TASK_MAX")?;
                let place = |task: u32| {
                    let offset = task.checked_sub(least)?;
                    let index = offset.checked_div(step)?;
                    (offset.is_multiple_of(step) && index < count).then_some(index)
                };
                let index = place(id).filter(|_| place(most) == count.checked_sub(1));
                let shard = index.and_then(|index| Shard::new(index, count).ok());
                shard.ok_or_else(|| PipelineError::Variable {
                    name: "SLURM_ARRAY_TASK_ID",
                    problem: format!(
                        "task {id} of {count} tasks from {least} to {most} with a step of {step}: \
                         the array's numbers are not evenly spaced; name the shard as I/N"
                    ),
                })
            }
            Self::Kubernetes { count } => {
                let name = "JOB_COMPLETION_INDEX";
                let index = number(name, "pod of an Indexed Job (completionMode: Indexed)")?;
                Shard::new(index, count).map_err(|_| PipelineError::Variable {
                    name,
                    problem: format!("{index} is not below {count}, the number of shards"),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(choice: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let shard = choice.parse::<ShardChoice>()?.shard_in(&variable);
        shard.map(|shard| shard.to_string()).map_err(|error| error.to_string())
    }

    fn slurm(id: &str, least: &str, most: &str, step: &str, count: &str) -> Result<String, String> {
        let names =
            ["ID", "MIN", "MAX", "STEP", "COUNT"].map(|name| format!("SLURM_ARRAY_TASK_{name}"));
        let variables: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip([id, least, most, step, count]).collect();
        shard("slurm", &variables)
    }

    #[test]
    fn schedulers_say_which_shard() {
        // --array=0-3, 1-4, 10-40:10
        assert_eq!(slurm("2", "0", "3", "1", "4").unwrap(), "2/4");
        assert_eq!(slurm("4", "1", "4", "1", "4").unwrap(), "3/4");
        assert_eq!(slurm("30", "10", "40", "10", "4").unwrap(), "2/4");
        let pod = [("JOB_COMPLETION_INDEX", "5")];
        assert_eq!(shard("kubernetes/8", &pod).unwrap(), "5/8");
        // One that is named stands over them.
        assert_eq!(shard("1/2", &pod).unwrap(), "1/2");
    }

    #[test]
    fn what_is_no_whole_set_of_shards_is_refused() {
        // --array=1,2,5 and 0-6:4,1: no task may take a part that is not its own.
        for (id, least, most, step, count) in
            [("1", "1", "5", "1", "3"), ("5", "1", "5", "1", "3"), ("1", "0", "4", "4", "3")]
        {
            let error = slurm(id, least, most, step, count).unwrap_err();
            assert!(error.contains("not evenly spaced"), "{error}");
        }
        assert!(slurm("0", "0", "0", "0", "1").is_err(), "no step");
        let error = shard("slurm", &[]).unwrap_err();
        assert_eq!(
            error,
            "SLURM_ARRAY_TASK_ID: is not set: this is no task of a Slurm job array (sbatch --array)"
        );
        let pod = [("JOB_COMPLETION_INDEX", "8")];
        assert!(shard("kubernetes/8", &pod).unwrap_err().contains("8 is not below 8"));
        assert!(
            shard("kubernetes/8", &[("JOB_COMPLETION_INDEX", "x")]).unwrap_err().contains("\"x\"")
        );
        for text in ["kubernetes", "kubernetes/0", "Slurm", "4/4", "auto"] {
            assert!(shard(text, &[]).unwrap_err().contains("is no shard"), "{text}");
        }
    }
}
