-- numerical_tolerance: largest error of sums over a forward pass, relative to the size of their terms
CREATE OR REPLACE TEMP MACRO numerical_tolerance() AS (
    SELECT CASE config->>'$.model.dtype'
        WHEN 'float64' THEN 1e-6
        WHEN 'float32' THEN 1e-3
        WHEN 'float16' THEN 2e-2
        WHEN 'bfloat16' THEN 2e-1
        ELSE 1e-3
    END
    FROM dump
);
