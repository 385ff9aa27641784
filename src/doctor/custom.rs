//! Commands of one's own tools: whether they are there, and what keeps them where they belong.

use super::{Cause, Finding};
use crate::tools::custom::CommandCall;
use crate::tools::custom::command::confinement;
use crate::tools::{Manifests, ToolSpec};
use std::os::unix::fs::PermissionsExt as _;

/// What there is to say of every tool that runs commands. Nothing is run.
pub(super) fn commands(manifests: &Manifests) -> Vec<Finding> {
    let own = manifests.specs().filter_map(|(_, spec)| Some((spec, spec.custom.as_ref()?)));
    own.flat_map(|(spec, custom)| custom.commands().map(|call| command(spec, call)).collect::<Vec<_>>()).collect()
}

fn command(spec: &ToolSpec, call: &CommandCall) -> Finding {
    let of = format!("tool {}", spec.name);
    let program = call.argv.first().map_or("", String::as_str);
    let may_run = std::fs::metadata(program).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if !may_run {
        let about = format!("{program} is no program that can be run");
        return Finding::fail(
            &of,
            "command",
            Cause::Found,
            about,
            "install it where firewarden runs, or take the manifest away",
        );
    }
    let confinement = confinement(call);
    match (confinement.gap(), confinement.required) {
        (None, _) => {
            Finding::ok(&of, "command", format!("{program}, confined by the kernel, but for Unix sockets and UDP"))
        }
        (Some(gap), false) => Finding::warn(
            &of,
            "command",
            format!("{program} runs, but {gap}"),
            "use a newer kernel, or write `confine: required` to go without it meanwhile",
        ),
        (Some(gap), true) => {
            let about = format!("{program} is not run: `confine: required`, and {gap}");
            Finding::fail(&of, "command", Cause::Found, about, "use a newer kernel")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_command_that_is_not_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for (name, program) in [("here", "/bin/sh"), ("gone", "/no/such/program"), ("folder", "/usr")] {
            let text = format!(
                "api_version: firewarden/v1\nname: {name}\nsummary: x\neffect: read\n\
                 params: {{type: object, additionalProperties: false}}\nrun: {{command: {{argv: [{program}]}}}}\n"
            );
            std::fs::write(dir.path().join(format!("{name}.yaml")), text).unwrap();
        }
        let found = commands(&Manifests::with_dir(dir.path()).unwrap());
        let told: Vec<(&str, State)> = found.iter().map(|finding| (finding.of.as_str(), finding.state)).collect();
        assert_eq!(told[..2], [("tool folder", State::Fail), ("tool gone", State::Fail)]);
        assert_eq!(told[2].0, "tool here");
        assert_ne!(told[2].1, State::Fail);
    }
}
