from .journal import Journal as Journal, Record as Record, content_key as content_key
from .plan import BatchPlan as BatchPlan, Cell as Cell, read_plan as read_plan, shipped as shipped
from .run import (
    Agenda as Agenda,
    Bars as Bars,
    Lines as Lines,
    agenda as agenda,
    check_place as check_place,
    run as run,
    summary as summary,
)
