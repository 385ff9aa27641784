# What a pull request may touch: judged on the files that its commit would hold.
package firewarden.action.pr

changing := {"record", "propose", "write", "destroy"}

deny contains {"id": "path", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	some file in input.pr.files
	some pattern in data.org.pr.deny
	glob.match(lower(pattern), ["/"], clean(file))
	reason := sprintf("no pull request may touch %s", [substring(file, 0, 120)])
	remedy := "That file may not be changed. Propose a change of the workload's own manifests."
}

deny contains {"id": "outside", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	some file in input.pr.files
	count(data.org.pr.allow) > 0
	every pattern in data.org.pr.allow {
		not glob.match(lower(pattern), ["/"], clean(file))
	}
	reason := sprintf("%s is outside the paths that may be changed", [substring(file, 0, 120)])
	remedy := "Only some paths may be changed. Read the repository's folder of the workload and change a file there."
}

deny contains {"id": "files", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	count(input.pr.files) > data.org.pr.max_files
	reason := sprintf("it touches more than %d files", [data.org.pr.max_files])
	remedy := "Make it smaller: one fix, few files."
}

deny contains {"id": "lines", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	input.pr.lines > data.org.pr.max_lines
	reason := sprintf("it changes more than %d lines", [data.org.pr.max_lines])
	remedy := "Make it smaller: change only the lines that the fix needs."
}

# A path that leads elsewhere is nobody's path.
deny contains {"id": "odd-path", "reason": "a path that is not a plain one", "remedy": remedy} if {
	input.call.effect in changing
	some file in input.pr.files
	odd(file)
	remedy := "Write plain paths from the repository's root, without .. or a leading slash."
}

odd(path) if regex.match(`(?:^|/)\.{1,2}(?:/|$)|^/|//|\\|[\x00-\x1f]`, path)

# Nor is one whose letters only look like others.
odd(path) if not regex.match(`^[ -~]*$`, path)

odd(path) if path == ""

clean(path) := lower(path)

approve contains {"id": "owners", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	count(input.pr.touches_codeowners) > 0
	reason := "it touches files that have owners of their own"
}
