{{- define "cortexflow.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "cortexflow.labels" -}}
app.kubernetes.io/name: cortexflow
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "cortexflow.selector" -}}
app.kubernetes.io/name: cortexflow
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end }}

{{- define "cortexflow.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "cortexflow.name" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end -}}
{{- end }}

{{- define "cortexflow.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "cortexflow.metricsPort" -}}
{{ regexFind "[0-9]+$" .Values.config.metrics_listen }}
{{- end }}

{{- /* agent.yaml: the user's settings, and those that follow from where the agent runs. */ -}}
{{- define "cortexflow.config" -}}
{{- $own := dict "kubeconfig" "in-cluster" "cgroup_root" "/host/cgroup" "pin_path" "/sys/fs/bpf/cortexflow"
    "control_socket" "/run/cortexflow/agent.sock" "state_dir" "/var/lib/cortexflow" }}
{{- $given := deepCopy .Values.config }}
{{- with .Values.serviceLB }}
{{- if .replace }}
{{- if not .apiServers }}{{ fail "serviceLB.replace needs serviceLB.apiServers: without kube-proxy nobody takes the first call to the API server's Service to it" }}{{ end }}
{{- $_ := set $own "kubernetes" (dict "servers" .apiServers) }}
{{- $health := dict "health_check_listen" .listen "proxy_health_listen" (printf "%s:10256" (contains ":" .listen | ternary (printf "[%s]" .listen) .listen)) }}
{{- $given = mergeOverwrite (dict "edge" (dict "interfaces" .interfaces) "services" $health) $given }}
{{- end }}
{{- end }}
{{- mergeOverwrite $given $own | toYaml }}
{{- end }}

{{- define "cortexflow.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "cortexflow.identity.name" -}}
{{ include "cortexflow.name" . }}-identity
{{- end }}

{{- define "cortexflow.identity.selector" -}}
app.kubernetes.io/name: cortexflow
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: identity
{{- end }}

{{- define "cortexflow.identity.metricsPort" -}}
{{ regexFind "[0-9]+$" .Values.identity.config.metrics_listen }}
{{- end }}

{{- define "cortexflow.identity.httpsPort" -}}
{{ regexFind "[0-9]+$" .Values.identity.config.listen }}
{{- end }}

{{- /* Empty: revocation lists are not served. */ -}}
{{- define "cortexflow.identity.crlPort" -}}
{{ regexFind "[0-9]+$" (.Values.identity.config.crl_listen | default "") }}
{{- end }}

{{- define "cortexflow.identity.authoritySecret" -}}
{{- $authority := .Values.identity.authority }}
{{- coalesce $authority.secret $authority.passphraseSecret (printf "%s-passphrase" (include "cortexflow.identity.name" .)) }}
{{- end }}

{{- /* identity.yaml: the user's settings, and those that follow from where it runs. */ -}}
{{- define "cortexflow.identity.config" -}}
{{- $name := include "cortexflow.identity.name" . }}
{{- $host := printf "%s.%s" $name .Release.Namespace }}
{{- $state := dict "name" $name "namespace" .Release.Namespace "service" $name }}
{{- $own := dict "state" (dict "kubernetes" $state) "trust_domain" .Values.identity.trustDomain }}
{{- $_ := set $own "listen_dns_names" (concat (list (printf "%s.svc" $host) (printf "%s.svc.cluster.local" $host) $host $name) .Values.identity.extraDnsNames) }}
{{- $authority := .Values.identity.config.authority | default dict }}
{{- $files := "/etc/cortexflow-authority" }}
{{- if .Values.identity.authority.secret }}
{{- $_ := set $own "authority" (merge (dict "certificate" (printf "%s/tls.crt" $files) "key" (printf "%s/tls.key" $files) "roots" (printf "%s/ca.crt" $files)) $authority) }}
{{- else }}
{{- $_ := set $own "authority" (merge (dict "passphrase_file" (printf "%s/passphrase" $files)) $authority) }}
{{- end }}
{{- if include "cortexflow.identity.crlPort" . }}
{{- $_ := set $own "crl_url" (printf "http://%s.svc:9466" $host) }}
{{- end }}
{{- if .Values.webhook.enabled }}
{{- $_ := set $own "webhook" (include "cortexflow.webhookSettings" . | fromYaml) }}
{{- end }}
{{- mergeOverwrite (deepCopy .Values.identity.config) $own | toYaml }}
{{- end }}
