# Credentials, and what decides who may do what: never, however it is spelled.
package firewarden.action.secrets

import data.firewarden.lib.kube

secrets := {"secret", "secrets"}

tokens := {
	"token",
	"tokenrequest",
	"tokenrequests",
	"tokenreview",
	"tokenreviews",
}

identities := {
	"serviceaccount",
	"serviceaccounts",
	"sa",
	"role",
	"roles",
	"rolebinding",
	"rolebindings",
	"clusterrole",
	"clusterroles",
	"clusterrolebinding",
	"clusterrolebindings",
	"certificatesigningrequest",
	"certificatesigningrequests",
	"csr",
}

admission := {
	"validatingwebhookconfiguration",
	"validatingwebhookconfigurations",
	"mutatingwebhookconfiguration",
	"mutatingwebhookconfigurations",
	"validatingadmissionpolicy",
	"validatingadmissionpolicies",
	"validatingadmissionpolicybinding",
	"validatingadmissionpolicybindings",
	"mutatingadmissionpolicy",
	"mutatingadmissionpolicies",
	"mutatingadmissionpolicybinding",
	"mutatingadmissionpolicybindings",
	"apiservice",
	"apiservices",
}

deny contains {"id": "secret", "reason": "Secret objects are never touched or read", "remedy": remedy} if {
	some kind in kinds
	kind in secrets
	remedy := "Secrets are never read. The workload's env, envFrom and volumes name the Secret and its keys; events say if one is missing."
}

deny contains {"id": "token", "reason": "ServiceAccount tokens are never touched or read", "remedy": remedy} if {
	some kind in kinds
	kind in tokens
	remedy := "Tokens are never read or made. The Pod's spec names its ServiceAccount."
}

deny contains {"id": "path", "reason": "the path leads to Secrets or tokens", "remedy": remedy} if {
	some value in addresses
	regex.match(`/(?:secrets?|token|tokenreviews?)(?:[/?#;]|$)`, lower(value))
	remedy := "Secrets and tokens are never read, by any path."
}

# What is encoded may lead anywhere.
deny contains {"id": "encoded-path", "reason": "a path of the API server is encoded", "remedy": remedy} if {
	some value in addresses
	regex.match(`^(?:https?://[^/]+)?/?apis?/.*%`, lower(value))
	remedy := "Write paths of the API server without percent signs."
}

deny contains {"id": "unread", "reason": "the arguments are too large to be judged whole", "remedy": remedy} if {
	input.call.texts_truncated
	remedy := "Call it with shorter or fewer arguments."
}

deny contains {"id": "identity", "reason": "who may do what is not changed from here", "remedy": remedy} if {
	some kind in kinds
	kind in identities
	not looks
	remedy := "Permissions are changed by people. Say in your report what is missing."
}

deny contains {"id": "admission", "reason": "what the API server admits is not changed from here", "remedy": remedy} if {
	some kind in kinds
	kind in admission
	not looks
	remedy := "Admission is changed by people. Say in your report what stands in the way."
}

looks if input.call.effect in {"read", "record"}

# Every kind that the call names: in its targets, in arguments that hold kinds, in its command.
kinds contains kind if {
	some target in input.call.targets
	some kind in kube.kinds(object.get(target, "kind", ""))
}

kinds contains kind if {
	some text in input.call.texts
	some key in text.keys
	key in {"kind", "kinds", "resource", "resources", "object", "objects", "subresource"}
	some kind in kube.kinds(text.folded)
}

kinds contains kind if {
	some word in input.call.argv
	some kind in kube.kinds(word)
}

# Every address that the call names.
addresses contains text.folded if {
	some text in input.call.texts
	some key in text.keys
	key in {"path", "paths", "url", "urls", "uri", "href", "endpoint"}
}
