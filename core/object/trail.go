package object

import "time"

// Phase is what a request spends time on.
type Phase uint8

// The phases. Their times do not overlap.
const (
	Queue Phase = iota // waiting for a connection to PostgreSQL, or for a round trip that takes the statement along
	SQL                // from sending a statement to its last row, the client's taking of the rows included
	Hooks              // in plugins, without the SQL that they run and the wait for it
	Phases
)

// String returns the name of the phase.
func (p Phase) String() string { return [...]string{"queue", "sql", "hooks"}[p] }

// Trail adds up what a request spends its time on. It is for one goroutine. A nil Trail takes everything and keeps nothing.
type Trail struct {
	Spent      [Phases]time.Duration
	Statements int
	Slowest    Step // of the statements

	// Steps are the single steps, at most [MaxSteps], if Detailed is set.
	Steps    []Step
	Detailed bool
}

// MaxSteps bounds the steps that a trail keeps.
const MaxSteps = 256

// Step is a part of a request's time.
type Step struct {
	Phase Phase
	Began time.Time
	Took  time.Duration
	Text  string // the SQL, without the values that it is run with; of hooks, the plugin
}

// Add notes a step that ended now.
func (t *Trail) Add(p Phase, began time.Time, text string) {
	if t != nil {
		t.AddUntil(p, began, time.Now(), text)
	}
}

// AddUntil notes a step.
func (t *Trail) AddUntil(p Phase, began, ended time.Time, text string) {
	if t == nil {
		return
	}
	s := Step{p, began, ended.Sub(began), text}
	t.Spent[p] += s.Took
	if p == SQL {
		t.Statements++
		if t.Statements == 1 || s.Took > t.Slowest.Took {
			t.Slowest = s
		}
	}
	if t.Detailed && len(t.Steps) < MaxSteps {
		t.Steps = append(t.Steps, s)
	}
}

// Nest notes a step in which others were noted since before was read from the trail: their times are not counted twice.
func (t *Trail) Nest(p Phase, began time.Time, before [Phases]time.Duration, text string) {
	if t == nil {
		return
	}
	t.Add(p, began, text)
	for i, spent := range t.Spent {
		if Phase(i) != p {
			t.Spent[p] -= spent - before[i]
		}
	}
}

// Sum returns what was spent so far, for [Trail.Nest].
func (t *Trail) Sum() [Phases]time.Duration {
	if t == nil {
		return [Phases]time.Duration{}
	}
	return t.Spent
}
