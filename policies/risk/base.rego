# What the alert alone says: its severity. A word that nobody knows is as loud as an error.
package firewarden.risk.base

levels := {
	"info": "LOW",
	"warning": "MEDIUM",
	"error": "HIGH",
	"critical": "HIGH",
}

level contains {"id": "severity", "level": given, "reason": reason} if {
	given := object.get(levels, lower(input.event.severity), "HIGH")
	reason := sprintf("the alert's severity is %s", [input.event.severity])
}

# What could not be read may say anything.
level contains {"id": "unread", "level": "HIGH", "reason": "the alert is too large to be judged whole"} if {
	input.event.text_truncated
}
