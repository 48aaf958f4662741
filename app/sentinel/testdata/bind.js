// Binds queries to the columns of tables, by Microsoft's language service for KQL. The folder of its package is the first
// argument; standard input is {"tables": {name: {column: type}}, "queries": {name: text}}. For each query it says what is wrong
// with it, which columns it gives, and which texts its literals stand for.
const folder = process.argv[2];
require(folder + '/bridge.min.js');
require(folder + '/Kusto.Language.Bridge.min.js');
const {KustoCode, GlobalState, Symbols, Syntax} = Kusto.Language;

const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const tables = Object.entries(input.tables).map(([table, columns]) => {
  const schema = Object.entries(columns).map(([name, type]) => name + ':' + type).join(', ');
  return Symbols.TableSymbol.From('(' + schema + ')').WithName(table);
});
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor3('Workspace', null, tables));
const each = list => Array.from({length: list.Count}, (_, i) => list.getItem(i));

const said = {};
for (const [name, text] of Object.entries(input.queries)) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const literals = [];
  code.Syntax.WalkNodes(node => {
    if (Bridge.is(node, Syntax.LiteralExpression) && typeof node.LiteralValue === 'string') literals.push(node.LiteralValue);
  });
  const type = code.ResultType;
  said[name] = {
    faults: each(code.GetDiagnostics()).map(d => d.Severity + ' ' + d.Code + ': ' + d.Message),
    columns: type && type.Columns ? each(type.Columns).map(c => ({name: c.Name, type: c.Type.Name})) : [],
    literals,
  };
}
console.log(JSON.stringify(said));
