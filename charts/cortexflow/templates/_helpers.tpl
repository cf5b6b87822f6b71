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
{{- mergeOverwrite (deepCopy .Values.config) $own | toYaml }}
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
