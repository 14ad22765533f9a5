# %% [markdown]
# # From a prompt to a circuit, in Python
#
# The same way as [walk-through.md](walk-through.md), with frames and charts in place of tables in a
# terminal. Editors show this file as a notebook, cell by cell; `jupytext --to ipynb` and
# `marimo convert` make one of it. It also runs as a program, from any folder.
#
# `svt.run` does what the command `svt` does with the same settings. The bundled model answers who
# gets the gift in sentences with two people, one of them named twice.

# %%
import svt

run = svt.run("dataset.n_prompts=16", "stages=[dump,trace,evaluate]")

# %% [markdown]
# ## The prompt
#
# Frames are those of Polars. The tokens have roles: IO is the indirect object, S1 and S2 are the
# two mentions of the subject, end is where the answer is expected.

# %%
run.sql("select text, answer, distractor, logit_diff from prompts where prompt_id = 0")

# %%
tokens = run.query("prompt_tokens", prompt_id=0)
tokens.drop_nulls("role")

# %% [markdown]
# ## A head that fires
#
# A head fires on a pair of tokens when it puts half of its attention there. These heads attend from
# the end to the indirect object, so what makes them look there decides the answer.

# %%
end, name = (tokens.filter(role=role)["pos"].item() for role in ("end", "IO"))
firing = run.sql(
    "select layer, head, weight, score, n_slices, pair_id from pairs where prompt_id = 0 and "
    "dest = $end and src = $name and eligible and weight >= 0.5 order by layer, weight desc",
    end=end,
    name=name,
)
firing

# %% [markdown]
# ## Its slices and its signal
#
# The score of head 5.0 is a sum over the singular vectors of its QK matrix. The signal is the
# shortest list of slices, from the largest on, whose sum reaches the score.

# %%
pair_id = firing.filter(layer=5, head=0)["pair_id"].item()
slices = run.sql("select * from slices where pair_id = $pair_id order by rank", pair_id=pair_id)
slices.filter("in_signal")

# %%
run.chart("slice_contributions", heads=[[5, 0]], prompt_id=0)

# %% [markdown]
# ## Its writers
#
# Each head below has written something into that signal: its contribution, on the side of the token
# that attends (dest) and on that of the token attended to (src). An edge is drawn from each head of
# the shortest list that makes up more than 70% of a side's total. `effect` is the attention weight
# that is lost when what a head wrote is left out.

# %%
run.query("significant").filter(pair_id=pair_id)

# %% [markdown]
# ## From head to head
#
# The question is then put to each head that wrote, if it fires there. So the trace goes down, from
# the heads that matter most to the answer. This is what it reaches in the prompt:

# %%
run.chart("prompt_graph", prompt_id=0)

# %% [markdown]
# ## The circuit
#
# Edges that occur in a quarter of the prompts make the graph. `head_roles` says what its heads do,
# by the roles of the tokens that they attend between.

# %%
run.query("shown_edges").head(10)

# %%
run.query("head_roles").drop_nulls("pattern")

# %%
run.query("head_chains").select("chain", "total")

# %%
run.chart("graph")

# %% [markdown]
# Beside the heads whose ablation is known to matter, at the threshold of the graph:

# %%
run.query("precision_recall", min_count=4)

# %% [markdown]
# ## Is it causal?
#
# What 4.1 writes at the indirect object is taken away along the signals of two heads of layer 5,
# and for comparison as much along other slices. `effect` is the change of the logit difference, and
# `validated` says whether it lies beyond that of the other slices.

# %%
edges = (
    "select * from graph_edges where layer = 5 and head in (2, 6) and up_layer = 4 and up_head = 1 "
    "and role = 'IO'"
)
run = svt.run(
    f"run.path={run.path}",
    "stages=[intervene]",
    "intervene.scopes=[global]",
    "intervene.kinds=[ablate]",
    "intervene.sets=null",
    "intervene.faithfulness=none",
    f'intervene.edges="{edges}"',
)
run.query("validated_edges")

# %%
run.close()
