package object_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// model is a bucket as the specification describes it, in memory: what objects it has, and what each operation answers. It
// shares no code with the server. Values and columns are as encoding/json decodes JSON.
type model struct {
	name    string
	indexes []modelIndex
	version int
	objects map[string]*modelObject
	lastID  int64 // drawn; a drawn id is never drawn again

	lists      map[int][]string // reindex_active: indexes by version
	rowVersion bool             // there is a reindex_active: puts note the version
}

type modelIndex struct {
	name, kind string
	unique     bool
}

type modelObject struct {
	value   map[string]any // as stored
	columns map[string]any // by index; nil is NULL
	etag    string
	id      int64
	version int // _rver; 0 is NULL
}

func newModel(name string, version int, indexes ...modelIndex) *model {
	return &model{name: name, version: version, indexes: indexes, objects: map[string]*modelObject{}, lists: map[int][]string{}}
}

// clone returns a copy to go back to. Objects are never changed, only replaced.
func (m *model) clone() *model {
	c := *m
	c.objects, c.lists = maps.Clone(m.objects), maps.Clone(m.lists)
	return &c
}

func (m *model) index(name string) *modelIndex {
	for i := range m.indexes {
		if m.indexes[i].name == name {
			return &m.indexes[i]
		}
	}
	return nil
}

func (m *model) reindexing(name string) bool {
	for _, names := range m.lists {
		if slices.Contains(names, name) {
			return true
		}
	}
	return false
}

// usable returns the index of that name if filters can rely on it.
func (m *model) usable(name string) *modelIndex {
	if m.reindexing(name) {
		return nil
	}
	return m.index(name)
}

func (m *model) keys() []string { return slices.Sorted(maps.Keys(m.objects)) }

// read is the value of an object as it is answered: the columns laid over what is stored.
func (m *model) read(o *modelObject) map[string]any {
	value := maps.Clone(o.value)
	for _, index := range m.indexes {
		column := o.columns[index.name]
		_, array := value[index.name].([]any)
		if column == nil || m.reindexing(index.name) || array && index.kind[0] != '[' {
			continue
		}
		value[index.name] = column
	}
	return value
}

// column converts a member to the column of an index; ok is false if it does not fit.
func (i *modelIndex) column(value any) (column any, ok bool) {
	if value == nil {
		return nil, true
	}
	switch i.kind {
	case "string":
		return javaScript(value), true
	case "number":
		n, err := strconv.ParseFloat(javaScript(value), 64)
		return n, err == nil // the model has no values that are read as NaN
	case "boolean":
		text := strings.ToUpper(javaScript(value))
		return text == "TRUE", text == "TRUE" || text == "FALSE"
	}
	elements, array := value.([]any)
	if !array {
		elements = []any{value}
	}
	strings := []any{}
	for _, e := range elements {
		strings = append(strings, javaScript(e))
	}
	return strings, true
}

// javaScript is String(value).
func javaScript(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, javaScript(e))
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(value)
}

// columns converts the members of a value; the error is that of the first index that one does not fit.
func (m *model) columns(value map[string]any) (columns map[string]any, err string) {
	columns = map[string]any{}
	for _, index := range m.indexes {
		column, ok := index.column(value[index.name])
		if !ok {
			return nil, fmt.Sprintf("InvalidIndexTypeError: index(%s) is of type %s", index.name, strings.Trim(index.kind, "[]"))
		}
		columns[index.name] = column
	}
	return columns, ""
}

// violation returns the error if another object has a value that is unique.
func (m *model) violation(key string, columns map[string]any) string {
	for _, index := range m.indexes {
		column := columns[index.name]
		if !index.unique || column == nil {
			continue
		}
		for other, o := range m.objects {
			if other != key && o.columns[index.name] == column {
				return fmt.Sprintf(`UniqueAttributeError: "%s" is a unique attribute; value "%v" already exists`, index.name, column)
			}
		}
	}
	return ""
}

// conflict returns the error if an object is not as expected: "" expects anything, absent nothing.
func (m *model) conflict(key, expects string) string {
	actual := "null"
	if o := m.objects[key]; o != nil {
		actual = o.etag
	}
	switch expects {
	case "", actual:
		return ""
	case absent:
		if actual == "null" {
			return ""
		}
		expects = "null"
	}
	return fmt.Sprintf(`EtagConflictError: %s::%s was expected to have etag "%s", but was "%s"`, m.name, key, expects, actual)
}

// put returns the etag, or the error. Whatever becomes of it, an insert draws an id.
func (m *model) put(key, text, expects string) string {
	if err := m.conflict(key, expects); err != "" {
		return err
	}
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		panic(err)
	}
	columns, err := m.columns(value)
	if err != "" {
		return err
	}
	o := &modelObject{value: value, columns: columns, etag: etag(text)}
	if previous := m.objects[key]; previous != nil {
		o.id, o.version = previous.id, previous.version
	} else {
		m.lastID++
		o.id = m.lastID
	}
	if m.rowVersion {
		o.version = m.version
	}
	if err := m.violation(key, columns); err != "" {
		return err
	}
	m.objects[key] = o
	return o.etag
}

// del returns "" or the error. Only an etag that is not "" is compared.
func (m *model) del(key, expects string) string {
	switch {
	case m.objects[key] == nil:
		return fmt.Sprintf("ObjectNotFoundError: %s::%s does not exist", m.name, key)
	case m.conflict(key, expects) != "":
		return m.conflict(key, expects)
	}
	delete(m.objects, key)
	return ""
}

// selection are the keys that a filter and a page select of the rows, and how many there are without the page. The error is that of
// the filter.
func (m *model) selection(f *modelFilter, p modelPage) (keys []string, count int, err string) {
	if err := m.supports(f); err != "" {
		return nil, 0, err
	}
	for _, key := range m.keys() {
		if m.selects(f, key) == yes {
			keys = append(keys, key)
		}
	}
	count = len(keys)
	slices.SortStableFunc(keys, func(a, b string) int { return m.compareRows(p, a, b) })
	keys = keys[min(p.offset, len(keys)):]
	return keys[:min(p.limit, len(keys))], count, ""
}

// modelPage is a page in the order of an attribute, then of the keys.
type modelPage struct {
	sort          string // "" for the keys alone
	descending    bool
	limit, offset int
}

func (m *model) compareRows(p modelPage, a, b string) int {
	order := 0
	x, y := m.attribute(p.sort, a), m.attribute(p.sort, b)
	switch {
	case p.sort == "":
	case x == nil || y == nil: // NULL comes last
		order = cmp.Compare(b2i(x == nil), b2i(y == nil))
	default:
		order = compareColumns(x, y)
	}
	if p.descending {
		order = -order
	}
	return cmp.Or(order, strings.Compare(a, b))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// attribute is the column that an attribute names.
func (m *model) attribute(name, key string) any {
	o := m.objects[key]
	switch name {
	case "_key":
		return key
	case "_etag":
		return o.etag
	case "_id":
		return float64(o.id)
	}
	return o.columns[name]
}

func compareColumns(x, y any) int {
	switch x := x.(type) {
	case string:
		return strings.Compare(x, y.(string))
	case float64:
		return cmp.Compare(x, y.(float64))
	case bool:
		return cmp.Compare(b2i(x), b2i(y.(bool)))
	}
	panic(fmt.Sprintf("%T has no order", x))
}

// update returns the number of changed objects, or the error. etag is the one that they get, which is drawn by the server.
func (m *model) update(fields map[string]any, f *modelFilter, p modelPage, etag string) string {
	if err := m.unusable(f); err != "" {
		return err
	}
	keys, _, err := m.selection(f, p)
	if err != "" {
		return err
	}
	columns := map[string]any{}
	for _, index := range m.indexes {
		column, ok := index.column(fields[index.name])
		if !ok {
			return fmt.Sprintf("InvalidIndexTypeError: index(%s) is of type %s", index.name, strings.Trim(index.kind, "[]"))
		}
		if fields[index.name] != nil {
			columns[index.name] = column
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch {
		case m.usable(name) == nil:
			return "NotIndexedError"
		case fields[name] == nil:
			return "NotNullableError"
		}
	}
	for _, key := range keys {
		o := *m.objects[key]
		o.columns = maps.Clone(o.columns)
		maps.Copy(o.columns, columns)
		o.etag = etag
		if err := m.violation(key, columns); err != "" {
			return err
		}
		m.objects[key] = &o
	}
	return strconv.Itoa(len(keys))
}

// deleteMany returns the number of removed objects, or the error.
func (m *model) deleteMany(f *modelFilter, p modelPage) string {
	if err := m.unusable(f); err != "" {
		return err
	}
	keys, _, err := m.selection(f, p)
	if err != "" {
		return err
	}
	for _, key := range keys {
		delete(m.objects, key)
	}
	return strconv.Itoa(len(keys))
}

// find returns what a find answers, and how many objects PostgreSQL counts.
func (m *model) find(f *modelFilter, p modelPage) (keys []string, count int, err string) {
	selected, count, err := m.selection(f, p)
	for _, key := range selected {
		if m.matches(f, key) {
			keys = append(keys, key)
		}
	}
	return keys, count, err
}

// stale are the keys of the objects that a reindexing has not reached.
func (m *model) stale() (keys []string) {
	if len(m.lists) == 0 {
		return nil
	}
	for _, key := range m.keys() {
		if m.objects[key].version < m.version {
			keys = append(keys, key)
		}
	}
	return keys
}

// reindex reindexes some objects, or returns the error that one of them makes. All values are looked at before the first is
// written.
func (m *model) reindex(keys []string) string {
	reindexed := map[string]*modelObject{}
	for _, key := range keys {
		o := *m.objects[key]
		columns, err := m.columns(o.value)
		if err != "" {
			return err
		}
		for _, index := range m.indexes { // what is filled stays
			if filled := o.columns[index.name]; filled != nil && !m.reindexing(index.name) {
				columns[index.name] = filled
			}
		}
		o.value, o.columns, o.version = m.read(&o), columns, m.version
		reindexed[key] = &o
	}
	for _, key := range keys {
		if err := m.violation(key, reindexed[key].columns); err != "" {
			return err
		}
		m.objects[key] = reindexed[key]
	}
	if len(keys) == 0 {
		m.lists = map[int][]string{}
	}
	return ""
}

// redefine gives the bucket other indexes, or returns the error.
func (m *model) redefine(version int, noReindex bool, indexes []modelIndex) string {
	if m.version != 0 && m.version >= version {
		return fmt.Sprintf("BucketVersionError: %s has a newer version than %d (%d)", m.name, version, m.version)
	}
	previous := m.indexes
	m.indexes = indexes
	has := func(all []modelIndex, name string) bool {
		return slices.ContainsFunc(all, func(i modelIndex) bool { return i.name == name })
	}
	reindex := version != 0 && !noReindex
	var added []string
	for _, index := range indexes {
		if !has(previous, index.name) {
			added = append(added, index.name)
		}
	}
	for v, names := range m.lists {
		m.lists[v] = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !has(indexes, name) })
	}
	if reindex {
		m.lists[version] = added
		m.rowVersion = true
	}
	m.version = version
	for key, o := range m.objects {
		changed := *o
		changed.columns = maps.Clone(o.columns)
		maps.DeleteFunc(changed.columns, func(name string, _ any) bool { return !has(indexes, name) || slices.Contains(added, name) })
		m.objects[key] = &changed
	}
	return ""
}

// modelFilter is a filter: a list of others, the negation of one, or a leaf.
type modelFilter struct {
	operator string // & | ! = >= <= =*
	parts    []*modelFilter
	name     string
	operand  string
}

func (f *modelFilter) String() string {
	switch f.operator {
	case "&", "|", "!":
		text := "(" + f.operator
		for _, part := range f.parts {
			text += part.String()
		}
		return text + ")"
	}
	return "(" + f.name + f.operator + f.operand + ")"
}

// maybe is what is known of a condition; PostgreSQL is not asked about what is not indexed.
type maybe int

const (
	no maybe = iota
	yes
	notAsked
)

func maybeOf(b bool) maybe { return maybe(b2i(b)) }

func (f *modelFilter) leaf() bool { return f.parts == nil }

func (f *modelFilter) leaves() (all []*modelFilter) {
	if f.leaf() {
		return []*modelFilter{f}
	}
	for _, part := range f.parts {
		all = append(all, part.leaves()...)
	}
	return all
}

// indexed reports whether a leaf is about a column.
func (m *model) indexed(f *modelFilter) bool {
	switch f.name {
	case "_key", "_id", "_etag":
		return true
	}
	return m.usable(f.name) != nil
}

// asked reports whether PostgreSQL is asked about a filter at all.
func (m *model) asked(f *modelFilter) bool {
	if f.leaf() {
		return m.indexed(f)
	}
	return slices.ContainsFunc(f.parts, m.asked)
}

// supports returns the error of a filter that the indexes cannot answer, and that memory may not answer alone.
func (m *model) supports(f *modelFilter) string {
	if err := m.widened(f); err != "" {
		return err
	}
	if !m.asked(f) {
		return "InvalidQueryError"
	}
	return ""
}

func (m *model) widened(f *modelFilter) string {
	for _, part := range f.parts {
		if err := m.widened(part); err != "" {
			return err
		}
	}
	isOpen := func(part *modelFilter) bool { return !m.asked(part) }
	if f.operator == "|" && slices.ContainsFunc(f.parts, isOpen) || f.operator == "&" && !m.asked(f) {
		return "NotIndexedError"
	}
	return ""
}

// unusable returns the error of a filter for updates, if it has a leaf that is not indexed.
func (m *model) unusable(f *modelFilter) string {
	if slices.ContainsFunc(f.leaves(), func(leaf *modelFilter) bool { return !m.indexed(leaf) }) {
		return "NotIndexedError"
	}
	return ""
}

// selects is what PostgreSQL says of an object.
func (m *model) selects(f *modelFilter, key string) maybe {
	if f.leaf() {
		if !m.indexed(f) {
			return notAsked
		}
		return maybeOf(m.compares(f, key))
	}
	answer := notAsked
	for _, part := range f.parts {
		said := m.selects(part, key)
		switch {
		case said == notAsked:
		case f.operator == "!":
			answer = yes - said
		case answer == notAsked:
			answer = said
		case f.operator == "&":
			answer = min(answer, said)
		default:
			answer = max(answer, said)
		}
	}
	return answer
}

// compares compares a column.
func (m *model) compares(f *modelFilter, key string) bool {
	column := m.attribute(f.name, key)
	if column == nil || f.operator == "=*" {
		return column != nil
	}
	if elements, ok := column.([]any); ok {
		return slices.ContainsFunc(elements, func(e any) bool { return f.fits(e) })
	}
	return f.fits(column)
}

// fits compares a value with the operand, which has the type of the value.
func (f *modelFilter) fits(value any) bool {
	var operand any = f.operand
	switch value.(type) {
	case float64:
		n, err := strconv.ParseFloat(f.operand, 64)
		if err != nil {
			n = math.NaN()
		}
		operand = n
	case bool:
		operand = f.operand == "true"
	}
	switch order := compareColumns(value, operand); f.operator {
	case "=":
		return order == 0
	case ">=":
		return order >= 0
	default:
		return order <= 0
	}
}

// matches is what memory says of an object: of a column, or of the member if it is not in its column yet.
func (m *model) matches(f *modelFilter, key string) bool {
	part := func(part *modelFilter) bool { return m.matches(part, key) }
	refused := func(part *modelFilter) bool { return !m.matches(part, key) }
	switch f.operator {
	case "&":
		return !slices.ContainsFunc(f.parts, refused)
	case "|":
		return slices.ContainsFunc(f.parts, part)
	case "!":
		return !m.matches(f.parts[0], key)
	}
	o := m.objects[key]
	index, stored := m.usable(f.name), o.value[f.name]
	if m.indexed(f) && (m.attribute(f.name, key) != nil || stored == nil) {
		return m.compares(f, key)
	}
	value, has := m.read(o)[f.name]
	if f.operator == "=*" {
		return value != nil
	}
	elements, array := value.([]any)
	if !array {
		elements = []any{value}
	}
	return has && slices.ContainsFunc(elements, func(e any) bool {
		if index == nil || e != nil && strings.Contains(index.kind, "string") {
			return f.fitsUntyped(e)
		}
		return e != nil && f.fitsNumber(e)
	})
}

// fitsUntyped compares a member that is not indexed: only strings are equal to an operand; in order are strings, and numbers if
// the operand reads as one. null is 0.
func (f *modelFilter) fitsUntyped(value any) bool {
	if text, ok := value.(string); ok {
		return f.fits(text)
	}
	operand, err := strconv.ParseFloat(cmp.Or(f.operand, "0"), 64)
	return err == nil && f.operator != "=" && f.fitsOrder(number(value), operand)
}

// fitsNumber compares a member that is not in its column yet, whose index is of numbers or booleans: only what is of the same
// type is equal to an operand.
func (f *modelFilter) fitsNumber(value any) bool {
	operand, err := strconv.ParseFloat(f.operand, 64)
	if err != nil {
		operand = float64(b2i(f.operand == "true"))
	}
	if _, text := value.(string); text && f.operator == "=" {
		return false
	}
	return f.fitsOrder(number(value), operand)
}

func (f *modelFilter) fitsOrder(value, operand float64) bool {
	switch f.operator {
	case "=":
		return value == operand
	case ">=":
		return value >= operand
	}
	return value <= operand
}

// number is Number(value).
func number(value any) float64 {
	switch v := value.(type) {
	case nil:
		return 0
	case float64:
		return v
	case bool:
		return float64(b2i(v))
	case string:
		if n, err := strconv.ParseFloat(v, 64); err == nil {
			return n
		}
	}
	return math.NaN()
}
