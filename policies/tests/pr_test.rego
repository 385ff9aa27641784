package firewarden.action.pr_test

import data.firewarden.action.pr

of(files, lines) := {"call": {"effect": "propose"}, "pr": {"files": files, "lines": lines, "touches_codeowners": []}}

denies(files, lines) := ids if {
	ids := {given.id | some given in pr.deny} with input as of(files, lines)
}

test_no_pull_request_is_no_matter if denies([], 0) == set()

test_manifest_may_be_changed if denies(["clusters/shop/api.yaml"], 12) == set()

test_what_builds_and_deploys_is_not_touched if {
	every path in [
		".github/workflows/deploy.yml",
		".GitHub/workflows/x.yml",
		"sub/.github/workflows/x.yml",
		".gitlab-ci.yml",
		"CODEOWNERS",
		"docs/CODEOWNERS",
		"Jenkinsfile",
		"certs/tls.key",
		".env",
	] {
		denies([path], 1) == {"path"}
	}
}

test_one_bad_file_among_good_ones_is_enough if {
	denies(["clusters/a.yaml", ".github/workflows/x.yml"], 2) == {"path"}
}

test_path_that_leads_elsewhere_is_refused if {
	every path in ["../x", "a/../../.github/x", "/etc/passwd", "a//b", "a\\b", "a\nb", "", "./a"] {
		"odd-path" in denies([path], 1)
	}
}

test_dots_in_a_name_are_plain if denies(["clusters/a..b/.values.yaml"], 1) == set()

test_only_allowed_paths_where_any_are_named if {
	ids := denies(["apps/x.yaml"], 1) with data.org.pr.allow as ["clusters/**"]
	ids == {"outside"}
	fine := denies(["clusters/shop/x.yaml"], 1) with data.org.pr.allow as ["clusters/**"]
	fine == set()
}

test_too_many_files_are_refused if {
	denies([sprintf("clusters/%d.yaml", [n]) | some n in numbers.range(1, 11)], 11) == {"files"}
}

test_too_many_lines_are_refused if denies(["clusters/a.yaml"], 401) == {"lines"}

test_owned_files_ask if {
	ids := {given.id | some given in pr.approve} with input as {"call": {"effect": "propose"}, "pr": {"files": ["a"], "lines": 1, "touches_codeowners": ["a"]}}
	ids == {"owners"}
}

test_files_without_owners_ask_nobody if {
	ids := {given.id | some given in pr.approve} with input as of(["a"], 1)
	ids == set()
}

test_looking_is_never_judged_by_files if {
	ids := {given.id | some given in pr.deny} with input as object.union(of([".env"], 1), {"call": {"effect": "read"}})
	ids == set()
}

test_look_alike_letters_are_odd if "odd-path" in denies([".gith\u0443b/workflows/x.yml"], 1)
