package firewarden.action.budget_test

import data.firewarden.action.budget

spent(day, investigation) := {
	"investigation": {"model": "main"},
	"spend": {"day_usd": day, "investigation_usd": investigation},
}

denies(asked, limits) := ids if {
	ids := {given.id | some given in budget.deny} with input as asked with data.org.budget as limits
}

both := {"day_usd": 20, "investigation_usd": 1}

test_below_both_limits_nothing_is_denied if denies(spent(19.99, 0.99), both) == set()

test_a_spent_day_is_denied if denies(spent(20, 0), both) == {"day"}

test_a_spent_investigation_is_denied if denies(spent(0, 1.5), both) == {"investigation"}

test_each_limit_speaks_for_itself if denies(spent(21, 2), both) == {"day", "investigation"}

test_without_limits_nothing_is_denied if {
	denies(spent(1000, 1000), {"day_usd": null, "investigation_usd": null}) == set()
}

test_the_shipped_data_sets_no_limit if {
	ids := {given.id | some given in budget.deny} with input as spent(1000, 1000)
	ids == set()
}

test_one_limit_alone_is_enough if denies(spent(1000, 0), {"day_usd": null, "investigation_usd": 1}) == set()

test_the_survey_costs_nothing if {
	asked := object.union(spent(1000, 1000), {"investigation": {"model": null}})
	denies(asked, both) == set()
}

test_what_was_spent_is_missing if {
	denies({"investigation": {"model": "main"}, "spend": {}}, both) == {"day", "investigation"}
}

test_what_was_spent_is_no_number if denies(spent("little", "less"), both) == {"day", "investigation"}

test_a_limit_that_is_no_number_denies if {
	denies(spent(0, 0), {"day_usd": "twenty", "investigation_usd": 1}) == {"day"}
}

test_the_model_is_told_to_finish if {
	remedies := {given.remedy | some given in budget.deny} with input as spent(20, 0) with data.org.budget as both
	every remedy in remedies {
		contains(remedy, "Finish now")
	}
	count(remedies) == 1
}
