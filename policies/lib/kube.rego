# How Kubernetes things are spelled.
package firewarden.lib.kube

# The kinds that a spelling may mean, in lower case: " Secrets.v1. ", "pods,secret/x", "v1/secrets".
kinds(spelling) := {kind |
	some part in regex.split(`[\s,;/|]+`, lower(spelling))
	kind := regex.replace(split(part, ".")[0], `[^a-z0-9]`, "")
	kind != ""
}
