{{- define "cortexflow.webhook" -}}
{{ include "cortexflow.name" . }}-webhook
{{- end }}

{{- define "cortexflow.webhookPort" -}}
9443
{{- end }}

{{- /* Whose pods are never enrolled: what runs there has to come up first. */ -}}
{{- define "cortexflow.systemNamespaces" -}}
{{ list "kube-node-lease" "kube-public" "kube-system" .Release.Namespace | uniq | join ", " }}
{{- end }}

{{- /* Of identity.yaml. */ -}}
{{- define "cortexflow.webhookSettings" -}}
listen: 0.0.0.0:{{ include "cortexflow.webhookPort" . }}
dns_names: [{{ include "cortexflow.webhook" . }}.{{ .Release.Namespace }}.svc]
configuration: {{ include "cortexflow.name" . }}
kubeconfig: in-cluster
system_namespaces: [{{ include "cortexflow.systemNamespaces" . }}]
{{- end }}

{{- /* How each webhook is called. */ -}}
{{- define "cortexflow.webhookCall" -}}
admissionReviewVersions: [v1, v1beta1]
sideEffects: None
failurePolicy: Ignore
matchPolicy: Equivalent
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
{{- end }}

{{- /* Which pods it is called for. */ -}}
{{- define "cortexflow.webhookPods" -}}
# The first label is there from Kubernetes 1.21 on; cfidentity leaves these namespaces alone by their names too.
namespaceSelector:
  matchExpressions:
  - {key: kubernetes.io/metadata.name, operator: NotIn, values: [{{ include "cortexflow.systemNamespaces" . }}]}
  - {key: cortexflow.io/mesh, operator: NotIn, values: [disabled]}
objectSelector:
  matchExpressions:
  - {key: cortexflow.io/mesh, operator: NotIn, values: [disabled]}
  - {key: app.kubernetes.io/name, operator: NotIn, values: [cortexflow, cortexflow-cleanup]}
{{- end }}
