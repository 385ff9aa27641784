# What cannot be brought back, and orders to destroy in whatever a call carries.
package firewarden.action.destructive

import data.firewarden.lib.kube

changing := {"propose", "write", "destroy"}

# Kinds whose removal takes data or many other things with it, in lower case.
keepers := {
	"persistentvolumeclaim",
	"persistentvolumeclaims",
	"pvc",
	"persistentvolume",
	"persistentvolumes",
	"pv",
	"namespace",
	"namespaces",
	"ns",
	"customresourcedefinition",
	"customresourcedefinitions",
	"crd",
	"node",
	"nodes",
	"storageclass",
	"storageclasses",
	"volumesnapshot",
	"volumesnapshots",
}

removals := {"delete", "deletecollection", "destroy", "drop", "purge", "truncate"}

deny contains {"id": "data", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	removes
	some kind in kinds
	kind in keepers
	reason := "what is removed would take data or other things with it"
}

deny contains {"id": "stateful", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	removes
	some target in input.call.targets
	target.stateful == true
	target.controlled != true
	reason := "it keeps data and nothing would bring it back"
}

deny contains {"id": "wording", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	some text in said
	some pattern in data.org.risk.destructive_patterns
	regex.match(pattern, text)
	reason := "its arguments order destruction"
}

remedy := "Nothing may be destroyed. Say in your report what a person should look at."

removes if input.call.effect == "destroy"

removes if {
	some target in input.call.targets
	lower(trim_space(target.verb)) in removals
}

kinds := {kind |
	some target in input.call.targets
	some kind in kube.kinds(object.get(target, "kind", ""))
}

# Each text of the arguments, the command as one, and what the change would make of its object.
said contains text.folded if some text in input.call.texts

said contains lower(concat(" ", input.call.argv))
