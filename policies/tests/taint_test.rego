package firewarden.action.taint_test

import data.firewarden.action.taint

groups(effect, level) := found if {
	found := {group | some given in taint.approve; some group in given.groups} with input as {
		"call": {"effect": effect},
		"taint": {"level": level, "sources": []},
	}
}

asks(effect, level) := ids if {
	ids := {given.id | some given in taint.approve} with input as {
		"call": {"effect": effect},
		"taint": {"level": level, "sources": []},
	}
}

test_lead_approves_after_instructions if {
	every effect in ["propose", "write", "destroy"] {
		groups(effect, 3) == {"lead"}
	}
}

reasons(sources) := found if {
	found := {given.reason | some given in taint.approve} with input as {
		"call": {"effect": "write"},
		"taint": {"level": 3, "sources": sources},
	}
}

test_it_says_where if {
	reasons(["alert:evt_1", "kubernetes_logs:E3"]) == {"text that looks like instructions was read before, in alert:evt_1, kubernetes_logs:E3"}
	reasons([]) == {"text that looks like instructions was read before, in what was read"}
}

test_ordinary_text_asks_nobody if asks("write", 2) == set()

test_looking_is_left_alone if asks("read", 3) == set()
