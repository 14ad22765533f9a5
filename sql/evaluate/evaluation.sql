INSERT INTO results.evaluation BY NAME
FROM evaluated('circuit_edges', $roots, 'results.reference_heads')
ORDER BY reference, count, min_count;
