{{- /* {name, board} -> the dashboard, as YAML. Rows of panels, two side by side; each panel has queries of the data source that the user chooses. */ -}}
{{- define "cortexflow.dashboard" }}
{{- $source := dict "type" "prometheus" "uid" "${datasource}" }}
uid: cortexflow-{{ .name }}
title: {{ .board.title | quote }}
tags: [cortexflow]
schemaVersion: 39
editable: true
graphTooltip: 1
refresh: 30s
time: {from: now-1h, to: now}
templating:
  list:
  - {name: datasource, label: Data source, type: datasource, query: prometheus}
  {{- range concat (list (dict "name" "instance" "query" "label_values(cortexflow_build_info, instance)")) (.board.variables | default list) }}
  - name: {{ .name }}
    label: {{ .name | title }}
    type: query
    datasource: {{ $source | toJson }}
    query: {query: {{ .query | quote }}, refId: {{ .name }}}
    refresh: 2
    includeAll: true
    multi: true
    allValue: ".*"
    current: {selected: true, text: [All], value: [$__all]}
  {{- end }}
panels:
{{- $id := 0 }}
{{- $y := 0 }}
{{- range .board.rows }}
{{- $id = add1 $id }}
- id: {{ $id }}
  type: row
  title: {{ .title | quote }}
  collapsed: false
  panels: []
  gridPos: {h: 1, w: 24, x: 0, "y": {{ $y }}}
{{- $y = add1 $y }}
{{- range $place, $panel := .panels }}
{{- $id = add1 $id }}
- id: {{ $id }}
  type: {{ $panel.type | default "timeseries" }}
  title: {{ $panel.title | quote }}
  datasource: {{ $source | toJson }}
  gridPos: {h: 8, w: 12, x: {{ mul 12 (mod $place 2) }}, "y": {{ add $y (mul 8 (div $place 2)) }}}
  fieldConfig: {defaults: {unit: {{ $panel.unit }}, min: 0}, overrides: []}
  options: {}
  targets:
  {{- range $number, $query := $panel.queries }}
  - {refId: {{ printf "%c" (add 65 $number) }}, datasource: {{ $source | toJson }}, expr: {{ $query.expr | quote }}, legendFormat: {{ $query.legend | quote }}}
  {{- end }}
{{- end }}
{{- $y = add $y (mul 8 (div (add1 (len .panels)) 2)) }}
{{- end }}
{{- end }}
