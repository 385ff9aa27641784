package firewarden.risk.base_test

import data.firewarden.risk.base

event(severity) := {"event": {"severity": severity, "text_truncated": false}}

levels(severity) := found if {
	found := {given.level | some given in base.level} with input as event(severity)
}

test_info_is_low if levels("info") == {"LOW"}

test_warning_is_medium if levels("warning") == {"MEDIUM"}

test_error_is_high if levels("error") == {"HIGH"}

test_critical_is_high if levels("critical") == {"HIGH"}

test_case_does_not_matter if levels("Info") == {"LOW"}

test_unknown_word_is_high if levels("sev-42") == {"HIGH"}

test_severity_is_the_only_rule_for_an_ordinary_alert if {
	ids := {given.id | some given in base.level} with input as event("warning")
	ids == {"severity"}
}

test_reason_names_the_severity if {
	reasons := {given.reason | some given in base.level} with input as event("warning")
	reasons == {"the alert's severity is warning"}
}

test_unread_text_is_high if {
	big := {"event": {"severity": "info", "text_truncated": true}}
	found := {[given.id, given.level] | some given in base.level} with input as big
	found == {["severity", "LOW"], ["unread", "HIGH"]}
}
