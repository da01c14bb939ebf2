// Prometheus' own PromQL engine over series given on standard input, for the differential test.
//
// Each line is a question; each gets a line in answer. A question without series is about those of the last that had
// some. Values travel as the bits of a float64, so that NaNs and stale markers arrive as they are.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

type point struct {
	At   int64  `json:"at"`
	Bits uint64 `json:"bits"`
}

type series struct {
	Labels map[string]string `json:"labels"`
	Points []point           `json:"points"`
}

type question struct {
	Series []series `json:"series"`
	Expr   string   `json:"expr"`
	// Milliseconds since the epoch. A step of zero asks for one moment.
	Start int64 `json:"start"`
	End   int64 `json:"end"`
	Step  int64 `json:"step"`
}

type answer struct {
	Type     string   `json:"type,omitempty"`
	Text     string   `json:"text,omitempty"`
	Series   []series `json:"series"`
	Warnings []string `json:"warnings"`
	Infos    []string `json:"infos"`
	Error    string   `json:"error,omitempty"`
}

type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

type known struct {
	labels  labels.Labels
	samples []chunks.Sample
}

// memory is a storage that holds what the last question brought, sorted by labels.
type memory struct {
	series []known
}

func (m *memory) fill(given []series) {
	m.series = nil
	for _, s := range given {
		samples := make([]chunks.Sample, 0, len(s.Points))
		for _, p := range s.Points {
			samples = append(samples, sample{p.At, math.Float64frombits(p.Bits)})
		}
		m.series = append(m.series, known{labels.FromMap(s.Labels), samples})
	}
	sort.Slice(m.series, func(a, b int) bool {
		return labels.Compare(m.series[a].labels, m.series[b].labels) < 0
	})
}

func (m *memory) Querier(from, to int64) (storage.Querier, error) {
	return &querier{m, from, to}, nil
}

type querier struct {
	memory   *memory
	from, to int64
}

func (q *querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
	for _, s := range q.memory.series {
		matches := true
		for _, matcher := range matchers {
			matches = matches && matcher.Matches(s.labels.Get(matcher.Name))
		}
		first := sort.Search(len(s.samples), func(i int) bool { return s.samples[i].T() >= q.from })
		last := sort.Search(len(s.samples), func(i int) bool { return s.samples[i].T() > q.to })
		// A series without a sample in the time asked for is not there at all.
		if matches && first < last {
			found = append(found, storage.NewListSeries(s.labels, s.samples[first:last]))
		}
	}
	return &seriesSet{found: found}
}

func (q *querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (q *querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (q *querier) Close() error { return nil }

type seriesSet struct {
	found []storage.Series
	next  int
}

func (s *seriesSet) Next() bool {
	s.next++
	return s.next <= len(s.found)
}

func (s *seriesSet) At() storage.Series                { return s.found[s.next-1] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

func ask(engine *promql.Engine, memory *memory, q question) answer {
	if q.Series != nil {
		memory.fill(q.Series)
	}
	ctx := context.Background()
	at := func(millis int64) time.Time { return time.UnixMilli(millis).UTC() }
	var query promql.Query
	var err error
	if q.Step > 0 {
		step := time.Duration(q.Step) * time.Millisecond
		query, err = engine.NewRangeQuery(ctx, memory, nil, q.Expr, at(q.Start), at(q.End), step)
	} else {
		query, err = engine.NewInstantQuery(ctx, memory, nil, q.Expr, at(q.Start))
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		return answer{Error: result.Err.Error()}
	}
	reply := answer{Series: []series{}}
	reply.Warnings, reply.Infos = result.Warnings.AsStrings(q.Expr, 0, 0)
	reply.Type = string(result.Value.Type())
	floats := func(values []promql.FPoint) []point {
		points := []point{}
		for _, p := range values {
			points = append(points, point{p.T, math.Float64bits(p.F)})
		}
		return points
	}
	switch value := result.Value.(type) {
	case promql.Scalar:
		reply.Series = append(reply.Series, series{map[string]string{}, []point{{value.T, math.Float64bits(value.V)}}})
	case promql.String:
		reply.Text = value.V
	case promql.Vector:
		for _, s := range value {
			reply.Series = append(reply.Series, series{s.Metric.Map(), []point{{s.T, math.Float64bits(s.F)}}})
		}
	case promql.Matrix:
		for _, s := range value {
			reply.Series = append(reply.Series, series{s.Metric.Map(), floats(s.Floats)})
		}
	}
	return reply
}

func main() {
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples:               50_000_000,
		Timeout:                  time.Minute,
		LookbackDelta:            5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnableDelayedNameRemoval: true,
		Parser: parser.NewParser(parser.Options{
			EnableExperimentalFunctions: true,
			EnableBinopFillModifiers:    true,
		}),
	})
	memory := &memory{}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 && err != nil {
			return
		}
		var q question
		reply := answer{}
		if err := json.Unmarshal(line, &q); err != nil {
			reply.Error = fmt.Sprintf("reading the question: %v", err)
		} else {
			reply = ask(engine, memory, q)
		}
		if encoder.Encode(reply) != nil || out.Flush() != nil {
			return
		}
	}
}
