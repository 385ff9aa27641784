package firewarden.action.blast_test

import data.firewarden.action.blast

of(effect, known, pods) := {"call": {"effect": effect}, "blast_radius": {"known": known, "pods": pods}}

asks(effect, known, pods) := ids if {
	ids := {given.id | some given in blast.approve} with input as of(effect, known, pods)
}

denies(effect, known, pods) := ids if {
	ids := {given.id | some given in blast.deny} with input as of(effect, known, pods)
}

test_few_pods_are_fine if {
	asks("write", true, 10) == set()
	denies("write", true, 10) == set()
}

test_many_pods_ask if {
	asks("write", true, 11) == {"soft-limit"}
	denies("write", true, 50) == set()
}

test_very_many_pods_never_happen if denies("write", true, 51) == {"hard-limit"}

test_unknown_number_asks if asks("destroy", false, 0) == {"unknown"}

test_what_changes_nothing_is_not_counted if {
	asks("record", false, 0) == set()
	denies("read", true, 99) == set()
}
