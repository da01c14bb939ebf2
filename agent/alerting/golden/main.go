// Expands templates as Prometheus does: reads lines of JSON with the key "template" and writes them with "expanded", the
// text that an alert would have, or "refused", why the rule file would not load.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
)

const prefix = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"

type line struct {
	Template string  `json:"template"`
	Expanded *string `json:"expanded,omitempty"`
	Refused  *string `json:"refused,omitempty"`
}

func query(_ context.Context, expression string, _ time.Time) (promql.Vector, error) {
	sample := func(value float64, pairs ...string) promql.Sample {
		return promql.Sample{F: value, Metric: labels.FromStrings(pairs...)}
	}
	switch expression {
	case "none":
		return promql.Vector{}, nil
	case "two":
		return promql.Vector{
			sample(21, "__name__", "metric", "instance", "b", "__value__", "x"),
			sample(11.5, "__name__", "metric", "instance", "a"),
		}, nil
	}
	return nil, errors.New("it is bad")
}

func expand(text string) line {
	external, err := url.Parse("http://testhost:9090/path/prefix")
	if err != nil {
		panic(err)
	}
	data := template.AlertTemplateData(
		map[string]string{"__name__": "disk_free", "device": "sda1", "size": "2048", "instance": "web-01.example.com:9100"},
		map[string]string{"region": "eu"},
		external.String(),
		promql.Sample{F: 0.25},
	)
	expander := template.NewTemplateExpander(context.Background(), prefix+text, "__alert_Test", data,
		model.Time(1353755652000), query, external, nil)
	if err := expander.ParseTest(); err != nil {
		refused := err.Error()
		return line{Template: text, Refused: &refused}
	}
	expanded, err := expander.Expand()
	if err != nil {
		expanded = fmt.Sprintf("<error expanding template: %s>", err)
	}
	return line{Template: text, Expanded: &expanded}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.Scan() {
		var asked line
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			panic(err)
		}
		if err := out.Encode(expand(asked.Template)); err != nil {
			panic(err)
		}
	}
}
