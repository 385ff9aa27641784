# Whoever can raise an alert can write its text, and an agent reads it. A text that orders
# destruction starts no agent.
package firewarden.risk.destructive

level contains {"id": "wording", "level": "CRITICAL", "reason": reason} if {
	some pattern in data.org.risk.destructive_patterns
	some found in regex.find_n(pattern, orders, 1)
	reason := sprintf("the alert's text speaks of destruction: %s", [substring(found, 0, 80)])
}

# The text without phrases that only report or warn.
orders := regex.replace(input.event.text, harmless, " - ") if harmless != ""

orders := input.event.text if harmless == ""

harmless := concat("|", data.org.risk.harmless_patterns)
